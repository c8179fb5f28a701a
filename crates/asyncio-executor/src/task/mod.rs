//! Tasks: one allocation each, of what all have ([`Core`]), of what their kind has, and of their future, or its output in the same place.
//!
//! There are two kinds. A [`LocalTask`] stays on the thread of its queue, where neither its wakes nor its references take an atomic. A
//! [`MovableTask`] is polled by any thread, one after another; a [`Runnable`] is the right to do so.
//!
//! | module | what is in it |
//! |---|---|
//! | [`stage`] | the future, and then the output: what depends on their types |
//! | [`memory`] | where they lie |
//! | [`join`], [`handle`] | whoever awaits the end |
//! | [`local`], [`counts`] | tasks that stay, and their counts |
//! | [`movable`], [`word`] | tasks that move, and who has them |

#![expect(unsafe_code, reason = "references to a task by a pointer to its core")]

mod counts;
mod handle;
mod join;
mod local;
mod memory;
mod movable;
mod stage;
mod word;

#[cfg(all(test, loom))]
mod loom_tests;

use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;

use asyncio_base::panic::{Payload, Told, catch_and_store, discard, message};
use asyncio_base::{debug, report};

use self::join::Join;
use self::stage::Methods;
use crate::header::{Header, TaskId};

pub(crate) use self::handle::TaskHandle;
pub(crate) use self::local::LocalTask;
pub(crate) use self::movable::{Home, MovableTask};

pub use self::movable::Runnable;

/// What all tasks have, whatever their future: 96 bytes for those that stay, where a pointer has 8.
///
/// | field | bytes | |
/// |---|---|---|
/// | methods | 8 | what is done with its future |
/// | kind | 24 | of a task that stays: its queue 8, counts 8, flags, woken remotely, place in the list 6, padded to 8 |
/// | join | 24 | its state, and the waker of whoever awaits |
/// | header | 40 | id, parent, spawn place, polls, all that is rarer (`header.rs`) |
pub(crate) struct Core<K: 'static> {
    methods: &'static Methods<K>,
    kind: K,
    join: Join,
    header: Header,
    /// A model fails if it is not freed.
    #[cfg(loom)]
    _track: loom::alloc::Track<()>,
}

#[cfg(all(not(any(loom, shuttle)), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Core<local::Local>>() == 96, "the table above");

/// A counted reference to a task of one of the two kinds.
///
/// # Safety
///
/// - While it lives, what it points to is not freed, and nobody has that by `&mut`.
pub(crate) unsafe trait Reference: Clone {
    type Kind: 'static;

    fn pointer(&self) -> NonNull<Core<Self::Kind>>;

    /// # Safety
    ///
    /// - `pointer` is to a task of this kind, and brings a reference along.
    unsafe fn from_pointer(pointer: NonNull<Core<Self::Kind>>) -> Self;

    /// Returns what a waker carries.
    #[inline]
    fn data(&self) -> *const () {
        self.pointer().as_ptr().cast_const().cast()
    }

    /// # Safety
    ///
    /// - `data` comes from [`data`](Self::data), and brings a reference along.
    #[inline]
    unsafe fn from_data(data: *const ()) -> Self {
        // SAFETY: it comes from a `NonNull`.
        let pointer = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
        // SAFETY: as the caller says.
        unsafe { Self::from_pointer(pointer) }
    }

    /// # Safety
    ///
    /// - `data` comes from [`data`](Self::data), and somebody else's reference outlives what is returned.
    #[inline]
    unsafe fn borrowed(data: *const ()) -> ManuallyDrop<Self> {
        // SAFETY: as the caller says; it is not dropped.
        ManuallyDrop::new(unsafe { Self::from_data(data) })
    }

    #[inline]
    fn core(&self) -> &Core<Self::Kind> {
        // SAFETY: as the trait says.
        unsafe { self.pointer().as_ref() }
    }

    #[inline]
    fn header(&self) -> &Header {
        &self.core().header
    }

    fn wake_by_ref(&self);
}

impl<K: 'static> Core<K> {
    /// Runs user code whose panic is nobody's.
    #[inline]
    fn guard(&self, what: &'static str, step: impl FnOnce()) {
        guard(|| (self.header.id, self.header.spawned_at), what, step);
    }
}

/// Runs user code whose panic is nobody's: it is reported with the task it belongs to.
#[inline(always)]
fn guard(task: impl FnOnce() -> Named, what: &'static str, step: impl FnOnce()) {
    let mut panic = None;
    catch_and_store(&mut panic, step);
    if let Some(panic) = panic {
        report_guarded(task(), what, panic);
    }
}

/// A task, for a report.
type Named = (TaskId, &'static Location<'static>);

#[cold]
#[inline(never)]
fn report_guarded((id, place): Named, what: &'static str, panic: Payload) {
    let message = message(&*panic);
    report::Report::new("executor", format_args!("{what} of task {id} ({place}) panicked: {message}"))
        .about(id.get(), place)
        .panicked()
        .send();
    discard(panic);
}

/// Drops the panic of a task that nobody has read, and nobody can read any more. In debug mode it is reported.
#[cold]
fn drop_unread((id, place): Named, panic: Payload) {
    if debug::is_on() && !panic.is::<Told>() {
        let message = message(&*panic);
        report::Report::new(
            "executor",
            format_args!("task {id} ({place}) has panicked, and nobody has read it: {message}"),
        )
        .about(id.get(), place)
        .panicked()
        .send();
    }
    discard(panic);
}
