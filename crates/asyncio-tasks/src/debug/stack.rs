//! [`Stack`]: where a thread is, as addresses; and what they mean, looked up afterwards.
//!
//! Addresses are cheap: some hundred nanoseconds a frame, and nothing is allocated but a list. Names and lines come out of the binary's own
//! tables, which are read when they are asked for the first time. That may take a second, so a loop does not do it.

#![expect(unsafe_code, reason = "a walk of the stack that waits for nobody")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::path::PathBuf;
use std::ptr;
use std::sync::{Arc, LazyLock};

/// Where the process was when somebody first asked: paths below it are shown without it, as those of panics are.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| std::env::current_dir().unwrap_or_default());

/// How many frames are kept: of a stack that is deeper, the innermost.
const FRAMES_MAX: usize = 96;

/// Where a thread was: the addresses of its frames, the innermost first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stack {
    addresses: Box<[usize]>,
}

/// A function of a user's on a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    function: Box<str>,
    file: Option<Box<str>>,
    line: Option<u32>,
}

impl Stack {
    /// Makes one of addresses that somebody else took, the innermost first.
    pub fn of(addresses: impl IntoIterator<Item = usize>) -> Self {
        Self { addresses: addresses.into_iter().collect() }
    }

    /// Takes that of this thread, as far as to the frame around the address `base` on it.
    pub(super) fn here(base: Option<usize>) -> Self {
        let mut addresses = Vec::with_capacity(24);
        walk(|frame| {
            addresses.push(frame.ip().addr());
            // What an address says of frames is a matter of a few words, so one or two more than are wanted may come along.
            let is_beyond = base.is_some_and(|base| frame.sp().addr() > base.saturating_add(SLACK));
            addresses.len() < FRAMES_MAX && !is_beyond
        });
        Self { addresses: addresses.into() }
    }

    /// Looks up which functions these are: those of a user, and of the crates that he uses, the outermost first. What is the standard library's or our own
    /// is left out, and so is what lies around the poll of a task.
    ///
    /// It may take a second, and reads the tables of the binary; not for the thread of a loop.
    ///
    /// # Examples
    ///
    /// ```
    /// let nowhere = asyncio_tasks::debug::Stack::of([]);
    /// assert!(nowhere.frames().is_empty());
    /// ```
    pub fn frames(&self) -> Vec<Frame> {
        Names::default().frames(self).to_vec()
    }
}

/// Walks this thread's stack, without the lock that lookups of names hold, which may take a second.
fn walk(visit: impl FnMut(&backtrace::Frame) -> bool) {
    if cfg!(windows) {
        // Walking and looking up are one library there, which is for one thread at a time.
        backtrace::trace(visit);
    } else {
        // SAFETY: it asks that nobody else is in the crate at the same time. Where the unwinder walks the stack that is for lookups; walking has no
        // state of the crate's.
        unsafe { backtrace::trace_unsynchronized(visit) };
    }
}

/// Reads the tables in which names are looked up, once in a process and on a thread of its own, so that the first lookup need not.
pub fn read_tables() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let read = || drop(Stack::here(None).frames());
        // Where none can be started, the first lookup does it.
        let _ = std::thread::Builder::new().name(String::from("asyncio-symbols")).spawn(read);
    });
}

/// More than the parts of a frame are apart.
const SLACK: usize = 1024;

/// What addresses mean, each looked up once.
#[derive(Default)]
pub(super) struct Names {
    /// What was inlined into what, the innermost first.
    by_address: HashMap<usize, Arc<[Known]>>,
    by_stack: HashMap<Stack, Arc<[Frame]>>,
}

#[derive(Clone)]
struct Known {
    frame: Frame,
    whose: Whose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    User,
    /// The standard library's, or one of our layers'.
    Below,
    /// Of those that poll tasks: the stack of a task ends here.
    Around,
    /// Of a signal handler: what lies inside of it is about the signal.
    Signal,
}

impl Names {
    pub(super) fn frames(&mut self, stack: &Stack) -> Arc<[Frame]> {
        if let Some(frames) = self.by_stack.get(stack) {
            return frames.clone();
        }
        let mut frames: Vec<Frame> = Vec::new();
        let mut is_inside = false;
        'stack: for &address in &stack.addresses {
            for known in &*self.known(address) {
                match known.whose {
                    Whose::User if frames.last() != Some(&known.frame) => frames.push(known.frame.clone()),
                    // Innermost there may be some of ours: the leaf's own, and that which looks.
                    Whose::Around if is_inside => break 'stack,
                    Whose::Signal => frames.clear(),
                    _ => {}
                }
                is_inside = !frames.is_empty();
            }
        }
        frames.reverse();
        let frames: Arc<[Frame]> = frames.into();
        self.by_stack.insert(stack.clone(), frames.clone());
        frames
    }

    fn known(&mut self, address: usize) -> Arc<[Known]> {
        self.by_address.entry(address).or_insert_with(|| look_up(address)).clone()
    }
}

fn look_up(address: usize) -> Arc<[Known]> {
    let mut known = Vec::new();
    backtrace::resolve(ptr::without_provenance_mut::<c_void>(address), |symbol| {
        let Some(name) = symbol.name() else { return };
        let name = format!("{name:#}");
        let path = symbol.filename();
        // What the C library keeps to itself begins so.
        let whose = match path {
            _ if name.starts_with("__") => Whose::Below,
            None => by_name(&name),
            Some(path) => by_file(&path.to_string_lossy()),
        };
        let file =
            path.map(|path| path.strip_prefix(&*FOLDER).unwrap_or(path).to_string_lossy().into_owned());
        let function = shown(&name).into();
        known.push(Known {
            frame: Frame { function, file: file.map(Into::into), line: symbol.lineno() },
            whose,
        });
    });
    known.into()
}

/// The name as the source has it, without what the compiler adds for an async function. Of what was inlined, line tables have but that.
fn shown(name: &str) -> &str {
    let mut name = name;
    loop {
        match name.rsplit_once("::") {
            Some((before, last)) if last.starts_with('{') && last.ends_with('}') => name = before,
            _ => break,
        }
    }
    match name.strip_prefix('{').unwrap_or("").split('#').next().unwrap_or("") {
        "async_fn" => "async fn",
        "async_block" => "async block",
        "closure" | "async_closure" => "closure",
        _ => name,
    }
}

/// By the path of the source, whose folders are named as the crates are: with their versions behind them, where they come from a registry.
fn by_file(path: &str) -> Whose {
    let mut folders = path.split(['/', '\\']).rev().skip_while(|folder| *folder != "src").skip(1);
    let folder = folders.next().unwrap_or("");
    let is_in =
        |name: &str| folder.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    let is_standard = ["core", "std", "alloc"].contains(&folder) && folders.next() == Some("library");
    match folder {
        _ if is_in("asyncio-executor") || is_in("asyncio-runtime") => Whose::Around,
        _ if folder.starts_with("asyncio-") || is_standard => Whose::Below,
        _ if is_in("backtrace") => Whose::Below,
        _ if is_in("signal-hook") || is_in("signal-hook-registry") => Whose::Signal,
        _ => Whose::User,
    }
}

/// By the name, where there is no more.
fn by_name(name: &str) -> Whose {
    match name.trim_start_matches(['<', '&', '*']).split("::").next().unwrap_or("") {
        "asyncio_executor" | "asyncio_runtime" => Whose::Around,
        "core" | "std" | "alloc" | "backtrace" | "main" | "_start" => Whose::Below,
        "signal_hook" | "signal_hook_registry" => Whose::Signal,
        name if name.starts_with("asyncio_") => Whose::Below,
        name if name.starts_with("dyn ") || name.starts_with('(') => Whose::Below,
        _ => Whose::User,
    }
}

impl Frame {
    /// Returns the name of the function.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Returns the file in which it stands, where the binary has line tables.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Returns the line in it that is being run.
    pub fn line(&self) -> Option<u32> {
        self.line
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " ({file}:{line})"),
            (Some(file), None) => write!(f, " ({file})"),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[inline(never)]
    fn somewhere() -> Stack {
        Stack::here(None)
    }

    #[test]
    fn names_of_async_functions_are_those_of_the_source() {
        assert_eq!(shown("chat::serve::{{closure}}"), "chat::serve");
        assert_eq!(shown("chat::serve::{async_fn#0}::{closure#1}"), "chat::serve");
        assert_eq!(shown("chat::serve<chat::main::{closure#0}>"), "chat::serve<chat::main::{closure#0}>");
        assert_eq!(shown("{async_fn#0}"), "async fn");
        assert_eq!(shown("main"), "main");
    }

    #[test]
    fn what_is_not_the_users_is_told_from_what_is() {
        for (path, expected) in [
            ("/home/me/chat/src/main.rs", Whose::User),
            ("src/main.rs", Whose::User),
            ("/r/registry/src/index.crates.io-1949/h2-0.4.1/src/client.rs", Whose::User),
            ("/r/registry/src/index.crates.io-1949/asyncio-timers-0.1.0/src/sleep.rs", Whose::Below),
            ("/home/me/asyncio/crates/asyncio-tasks/src/scope/mod.rs", Whose::Below),
            ("/home/me/asyncio/crates/asyncio-tasks/tests/it/debug.rs", Whose::User),
            ("crates\\asyncio-executor\\src\\queue.rs", Whose::Around),
            ("/rustc/5980/library/core/src/future/poll_fn.rs", Whose::Below),
            ("/home/me/core/src/lib.rs", Whose::User),
        ] {
            assert!(by_file(path) == expected, "{path}");
        }
        assert!(by_name("chat::serve::{{closure}}") == Whose::User);
        assert!(by_name("<chat::Session as core::future::future::Future>::poll") == Whose::User);
        assert!(by_name("<core::pin::Pin<P> as core::future::future::Future>::poll") == Whose::Below);
        assert!(
            by_name("<asyncio_timers::sleep::Sleep as core::future::future::Future>::poll") == Whose::Below
        );
        assert!(by_name("asyncio_executor::queue::Owner::run") == Whose::Around);
    }

    #[test]
    fn a_stack_has_the_addresses_of_its_callers() {
        let stack = somewhere();
        assert!(stack.addresses.len() > 3 && stack.addresses.len() <= FRAMES_MAX);
        // This very crate is ours, so its frames are left out; but they are known by name.
        let known: Vec<Known> =
            stack.addresses.iter().flat_map(|&address| look_up(address).to_vec()).collect();
        assert!(known.iter().any(|known| known.frame.function().ends_with("somewhere")));
    }
}
