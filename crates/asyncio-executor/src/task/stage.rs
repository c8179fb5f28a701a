//! The part of a task that knows its future's type: its memory, and what is done with it.

#![expect(unsafe_code, reason = "the memory of a future, and of its output after it")]

use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use asyncio_base::panic::{Payload, catch_and_store};
use asyncio_base::shim::UnsafeCell;

use super::{Core, Join, drop_unread, guard, memory};
use crate::header::Header;

/// What a task left: its value or its panic, or nothing if its future was dropped.
pub(super) type Outcome<T> = Option<Result<T, Payload>>;

/// What is done with a task by those who do not know its future.
pub(super) struct Methods<K: 'static> {
    /// Polls the future; if that ends it, drops it, stores the output, and says `true`.
    pub(super) poll: unsafe fn(NonNull<Core<K>>, &mut Context<'_>) -> bool,
    /// Drops the future in place; the output is that there is none.
    pub(super) drop_future: unsafe fn(NonNull<Core<K>>),
    /// Moves the output to where the pointer points: an [`Outcome`] of its type.
    pub(super) take_output: unsafe fn(NonNull<Core<K>>, *mut ()),
    pub(super) drop_output: unsafe fn(NonNull<Core<K>>),
    /// Gives the memory back.
    pub(super) free: unsafe fn(NonNull<Core<K>>),
}

/// A whole task. `repr(C)`, so that a pointer to it is one to its core.
#[repr(C)]
struct Whole<K: 'static, F: Future> {
    core: Core<K>,
    stage: UnsafeCell<Stage<F>>,
}

/// Flat, so that one tag says all, and a small one can lie in the future's own.
enum Stage<F: Future> {
    Future(F),
    Value(F::Output),
    Panic(Payload),
    Nothing,
}

/// Makes a task, with whatever number of references its kind says.
pub(super) fn allocate<K: 'static, F: Future>(kind: K, header: Header, future: F) -> NonNull<Core<K>> {
    let core = || Core {
        methods: &const {
            Methods {
                poll: poll::<K, F>,
                drop_future: drop_future::<K, F>,
                take_output: take_output::<K, F>,
                drop_output: drop_output::<K, F>,
                free: free::<K, F>,
            }
        },
        kind,
        join: Join::new(),
        header,
        #[cfg(loom)]
        _track: loom::alloc::Track::new(()),
    };
    let mut place = memory::allocate();
    // SAFETY: nobody else has it.
    let place = unsafe { place.as_mut() };
    // Made where it is to lie, after `malloc` was called. The pointer may reach the whole, which a `&Core` may not.
    NonNull::from(place.write(Whole { core: core(), stage: UnsafeCell::new(Stage::Future(future)) })).cast()
}

impl<K: 'static, F: Future> Whole<K, F> {
    /// # Safety
    ///
    /// - `core` points to the core of a task made for `F`, and the caller has a reference to it.
    /// - Nobody else is at its stage (K4, M1): it is the owner, or whoever has the task, until the end, and then whoever the output belongs to.
    unsafe fn with_stage<R>(core: NonNull<Core<K>>, f: impl FnOnce(&mut Stage<F>) -> R) -> R {
        // SAFETY: as the caller says.
        let whole = unsafe { core.cast::<Self>().as_ref() };
        // SAFETY: as the caller says.
        whole.stage.with_mut(|stage| f(unsafe { &mut *stage }))
    }
}

/// # Safety
///
/// - As [`Whole::with_stage`]; the caller is the owner, or has the task (W1), and the task has not ended.
unsafe fn poll<K: 'static, F: Future>(core: NonNull<Core<K>>, cx: &mut Context<'_>) -> bool {
    let mut panic = None;
    let step = |stage: &mut Stage<F>| match stage {
        Stage::Future(future) => {
            // SAFETY: it stays where it is until `replace_future` drops it there.
            let future = unsafe { Pin::new_unchecked(future) };
            catch_and_store(&mut panic, || future.poll(cx))
        }
        Stage::Value(_) | Stage::Panic(_) | Stage::Nothing => {
            unreachable!("a task that has ended is not polled")
        }
    };
    // SAFETY: as the caller says.
    let poll = unsafe { Whole::<K, F>::with_stage(core, step) };
    let left = match (poll, panic) {
        (Some(Poll::Pending), _) => return false,
        (Some(Poll::Ready(value)), _) => Stage::Value(value),
        (None, panic) => panic.map_or(Stage::Nothing, Stage::Panic),
    };
    // SAFETY: as the caller says.
    unsafe { replace_future::<K, F>(core, left) };
    true
}

/// # Safety
///
/// - As [`Whole::with_stage`]; the caller is the owner, or has the task (W1), and the task has not ended.
unsafe fn drop_future<K: 'static, F: Future>(core: NonNull<Core<K>>) {
    // SAFETY: as the caller says.
    unsafe { replace_future::<K, F>(core, Stage::Nothing) };
}

/// Drops the future in place, and puts there what it left.
///
/// # Safety
///
/// - As [`Whole::with_stage`]; the caller is the owner, or has the task (W1), and the task has not ended.
unsafe fn replace_future<K: 'static, F: Future>(core: NonNull<Core<K>>, left: Stage<F>) {
    // SAFETY: a reference is there.
    let header = unsafe { &core.as_ref().header };
    let step = |stage: &mut Stage<F>| {
        let stage: *mut Stage<F> = stage;
        guard(
            || (header.id, header.spawned_at),
            "dropping the future",
            || {
                // SAFETY: dropped once, here: whether this ends by a panic or not, what it left is written over it.
                unsafe { ptr::drop_in_place(stage) };
            },
        );
        // SAFETY: it comes from a `&mut`, and what was there is dropped.
        unsafe { ptr::write(stage, left) };
    };
    // SAFETY: as the caller says.
    unsafe { Whole::<K, F>::with_stage(core, step) };
}

/// # Safety
///
/// - As [`Whole::with_stage`]; the task has ended, and the output is the caller's. `to` points to an [`Outcome`] of its type.
unsafe fn take_output<K: 'static, F: Future>(core: NonNull<Core<K>>, to: *mut ()) {
    // SAFETY: as the caller says.
    let to = unsafe { &mut *to.cast::<Outcome<F::Output>>() };
    let step = |stage: &mut Stage<F>| {
        *to = match stage {
            // SAFETY: whatever is read is forgotten below, without being dropped.
            Stage::Value(value) => Some(Ok(unsafe { ptr::read(value) })),
            // SAFETY: as above.
            Stage::Panic(panic) => Some(Err(unsafe { ptr::read(panic) })),
            Stage::Nothing | Stage::Future(_) => return,
        };
        // SAFETY: it comes from a `&mut`, and what was there has been moved out.
        unsafe { ptr::write(stage, Stage::Nothing) };
    };
    // SAFETY: as the caller says.
    unsafe { Whole::<K, F>::with_stage(core, step) };
}

/// # Safety
///
/// - As [`take_output`].
unsafe fn drop_output<K: 'static, F: Future>(core: NonNull<Core<K>>) {
    let mut output: Outcome<F::Output> = None;
    // SAFETY: as the caller says.
    unsafe { take_output::<K, F>(core, (&raw mut output).cast()) };
    if let Some(Err(panic)) = output {
        // SAFETY: a reference is there.
        let header = unsafe { &core.as_ref().header };
        drop_unread((header.id, header.spawned_at), panic);
    }
}

/// # Safety
///
/// - `core` points to the core of a task made for `F`, and the caller has given up the last reference to it.
unsafe fn free<K: 'static, F: Future>(core: NonNull<Core<K>>) {
    // SAFETY: as the caller says. It does nothing; a model sees by it whether somebody may still be at the stage.
    unsafe { Whole::<K, F>::with_stage(core, |_| ()) };
    // SAFETY: it is there until the next line.
    let header = unsafe { &core.as_ref().header };
    let task = (header.id, header.spawned_at);
    let whole = core.cast::<Whole<K, F>>();
    // What upper layers attach may be a user's. Whoever gave up the last reference still has it in hand, and must not be unwound.
    // SAFETY: nobody has it any more.
    guard(|| task, "dropping what belongs to the task", || unsafe { whole.drop_in_place() });
    // SAFETY: `allocate` made it for this type, and it is empty.
    unsafe { memory::free(whole.cast::<MaybeUninit<Whole<K, F>>>()) };
}
