//! Where a thread is: it is sent a signal, whose handler stores the addresses of its stack and nothing else.
//!
//! - H1: one stack at a time is taken in a process; [`WANTED`] says whose. The handler takes the wish before it begins, so it runs once for it.
//! - H2: the handler touches atomics, calls `gettid`, and walks the stack by the unwinder's tables. From glibc 2.35 on, with the unwinder of GCC 12 that
//!   came beside it, that takes no lock. Before, and with other C libraries, it may wait for one that the interrupted thread holds itself: there no
//!   stacks are taken ([`can_walk`]). A handler that has not come to its end all the same is waited for twice [`PATIENCE`], and then no more
//!   stacks are taken.
//! - H3: the signal is SIGURG, as in Go's runtime: what nobody handles is ignored, debuggers pass it on, and hardly anybody uses it. Other
//!   handlers of it are called as well.
//! - H4: a thread that has ended is not found (tgkill(2)), and a number that is used again is a thread of another loop at worst, which is asked nothing
//!   that harms it.

#![expect(unsafe_code, reason = "a signal handler, and a signal for one thread")]

// std's, since statics need constants and a handler must not take a lock; no model looks at them.
use std::sync::{self as outside, atomic};
use std::time::{Duration, Instant};

use asyncio_tasks::debug::Stack;

use self::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// So many frames are kept.
const FRAMES_MAX: usize = 96;
/// For so long the thread is waited for. One that is in the kernel comes out of it for a signal at once, but for a wait that cannot be interrupted.
const PATIENCE: Duration = Duration::from_millis(100);
/// The handler is not done.
const NOT_YET: usize = usize::MAX;

/// Whose stack is wanted; 0 is nobody's.
static WANTED: atomic::AtomicI32 = atomic::AtomicI32::new(0);
static ADDRESSES: [atomic::AtomicUsize; FRAMES_MAX] = [const { atomic::AtomicUsize::new(0) }; FRAMES_MAX];
/// How many there are.
static COUNT: atomic::AtomicUsize = atomic::AtomicUsize::new(NOT_YET);
/// Whoever takes a stack has it (H1).
static TAKING: outside::Mutex<Handler> = outside::Mutex::new(Handler::Absent);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Handler {
    Absent,
    Installed,
    /// It could not be installed, or has not come to its end (H2).
    Unusable,
}

/// A thread, for those who ask where it is.
#[derive(Clone, Copy)]
pub(super) struct ThreadId(i32);

impl ThreadId {
    /// Returns that of this thread.
    pub(super) fn here() -> Self {
        Self(gettid())
    }

    /// Returns where the thread is, if it lives and takes signals.
    pub(super) fn stack(self) -> Option<Stack> {
        let mut handler = TAKING.lock().unwrap_or_else(outside::PoisonError::into_inner);
        if *handler == Handler::Absent {
            *handler = install();
        }
        if *handler == Handler::Unusable {
            return None;
        }
        COUNT.store(NOT_YET, Relaxed);
        // Release: the handler sees the former.
        WANTED.store(self.0, Release);
        let is_sent = tgkill(self.0);
        if is_sent && wait_for_it() {
            return Some(taken());
        }
        if WANTED.compare_exchange(self.0, 0, AcqRel, Acquire).is_ok() {
            return None;
        }
        // It has begun.
        if !wait_for_it() {
            *handler = Handler::Unusable;
            return None;
        }
        Some(taken())
    }
}

fn taken() -> Stack {
    let count = COUNT.load(Acquire).min(FRAMES_MAX);
    Stack::of(ADDRESSES[..count].iter().map(|address| address.load(Relaxed)))
}

/// Waits until the handler is done, for a while.
fn wait_for_it() -> bool {
    let begin = Instant::now();
    // Acquire: pairs with the Release in `on_signal`.
    while COUNT.load(Acquire) == NOT_YET {
        if begin.elapsed() > PATIENCE {
            return false;
        }
        // A signal handler can wake nobody.
        std::thread::sleep(Duration::from_micros(50));
    }
    true
}

/// Says whether the stack can be walked in a signal handler (H2).
#[cfg(target_env = "gnu")]
fn can_walk() -> bool {
    // SAFETY: it takes nothing.
    let version = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: it is a text of the C library's own, for ever.
    let version = unsafe { std::ffi::CStr::from_ptr(version) };
    let mut parts = version.to_str().unwrap_or("").split('.').map(|part| part.parse().unwrap_or(0));
    let (major, minor): (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    (major, minor) >= (2, 35)
}

/// Says whether the stack can be walked in a signal handler (H2).
#[cfg(not(target_env = "gnu"))]
fn can_walk() -> bool {
    false
}

fn install() -> Handler {
    if !can_walk() {
        return Handler::Unusable;
    }
    // What the unwinder does at its first use, it does here, and not in the handler.
    walk(|_| true);
    // SAFETY: the action may be called at any point of any thread: H2.
    let installed = unsafe { signal_hook::low_level::register(libc::SIGURG, on_signal) };
    installed.map_or(Handler::Unusable, |_| Handler::Installed)
}

/// Runs in a signal handler (H2).
fn on_signal() {
    let me = gettid();
    // H1; and a SIGURG of somebody else's finds nothing.
    if WANTED.compare_exchange(me, 0, AcqRel, Relaxed).is_err() {
        return;
    }
    let mut count = 0;
    walk(|frame| {
        ADDRESSES[count].store(frame.ip().addr(), Relaxed);
        count += 1;
        count < FRAMES_MAX
    });
    // Release: the addresses are there.
    COUNT.store(count, Release);
}

/// Walks this thread's stack, and takes no lock for it: others may be looking names up, for a second.
fn walk(visit: impl FnMut(&backtrace::Frame) -> bool) {
    // SAFETY: it asks that nobody else is in the crate at the same time. On Linux that is for the lookup of names: walking has no state but the
    // unwinder's own.
    unsafe { backtrace::trace_unsynchronized(visit) };
}

fn gettid() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Sends the signal to a thread of this process. Says whether there is one.
fn tgkill(thread: i32) -> bool {
    let process = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: three numbers; the signal has a handler.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGURG) == 0 }
}
