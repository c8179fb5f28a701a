//! [`One`]: a child of a set, with its waker, and what somebody else has of it beside it, in one allocation.
//!
//! Three kinds of pointers share it by one count:
//!
//! - the set's, [`Owned`], of which there is one: through it alone the branch is reached, and it drops the branch when it is dropped;
//! - that of a handle, [`Beside`], which reaches what is beside the branch, and outlives the branch and all that it borrowed;
//! - wakers, which reach the child's number and the list of the set, from any thread, and may outlive everything.
//!
//! So whoever frees the memory, the branch is not in it any more.

#![expect(unsafe_code, reason = "a future that borrows, in memory that its wakers outlive")]

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, transmute};
use std::ops::Deref;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

use asyncio_base::panic::{catch_and_store, discard};
use asyncio_base::shim::{Arc, AtomicUsize, Ordering};

use super::woken::Woken;
use crate::branch::AnyBranch;

/// Beside a branch: what is told of it, and of the handle.
///
/// # Safety
///
/// After [`close`](Self::close) and [`leave`](Self::leave), nothing is left in it that borrows, or belongs to a thread: it is dropped on any
/// thread, at any time.
pub(crate) unsafe trait Hears<B> {
    /// Polls the branch. Says whether it has ended.
    fn poll_end(&self, branch: Pin<&mut B>, cx: &mut Context<'_>) -> bool;

    /// The branch is about to be dropped.
    fn close(&self);

    /// The handle is dropped.
    fn leave(&self);
}

// SAFETY: it is nothing.
unsafe impl<B: AnyBranch> Hears<B> for () {
    #[inline]
    fn poll_end(&self, branch: Pin<&mut B>, cx: &mut Context<'_>) -> bool {
        branch.poll_end(cx)
    }

    fn close(&self) {}

    fn leave(&self) {}
}

/// A branch as what its set sees of it.
trait Lends<C: ?Sized> {
    fn lend(this: *mut Self) -> *mut C;
}

impl<B> Lends<B> for B {
    fn lend(this: *mut B) -> *mut B {
        this
    }
}

impl<'a, B: AnyBranch + Send + 'a> Lends<dyn AnyBranch + Send + 'a> for B {
    fn lend(this: *mut B) -> *mut (dyn AnyBranch + Send + 'a) {
        this
    }
}

impl<'a, B: AnyBranch + 'a> Lends<dyn AnyBranch + 'a> for B {
    fn lend(this: *mut B) -> *mut (dyn AnyBranch + 'a) {
        this
    }
}

/// The signal comes first: it is where the pointer points, whatever the rest is.
#[repr(C)]
struct One<S, B> {
    signal: Signal,
    beside: S,
    branch: UnsafeCell<ManuallyDrop<B>>,
}

/// What wakers reach.
struct Signal {
    /// The child's number in the set: told when it is polled, before there is a waker.
    index: AtomicUsize,
    woken: Arc<Woken>,
}

impl Signal {
    fn wake(&self) {
        // Relaxed: whoever has a waker got it from a poll, and the number was there before.
        self.woken.wake(self.index.load(Ordering::Relaxed));
    }
}

impl<S, B> One<S, B> {
    /// Where the branch is.
    #[inline]
    fn place(&self) -> *mut B {
        // `ManuallyDrop` is laid out as what is in it.
        self.branch.get().cast()
    }

    const VTABLE: RawWakerVTable =
        RawWakerVTable::new(Self::clone_waker, Self::wake, Self::wake_by_ref, Self::drop_waker);

    unsafe fn clone_waker(data: *const ()) -> RawWaker {
        // SAFETY: `data` is of an `Arc` of this type (`Owned::poll_end`) that whoever clones keeps alive.
        unsafe { Arc::increment_strong_count(data.cast::<Self>()) };
        RawWaker::new(data, &Self::VTABLE)
    }

    unsafe fn wake(data: *const ()) {
        // SAFETY: the waker has one count, which is given up, also where whoever polls the set has a waker that panics.
        let one = unsafe { Arc::from_raw(data.cast::<Self>()) };
        one.signal.wake();
    }

    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: it is alive, as the waker is. The branch may be polled meanwhile: it is not touched, and lies in a cell of its own.
        let signal = unsafe { &(*data.cast::<Self>()).signal };
        signal.wake();
    }

    unsafe fn drop_waker(data: *const ()) {
        // SAFETY: the waker has one count, and gives it up. If it is the last one, `Owned` is gone, and so is the branch.
        drop(unsafe { Arc::from_raw(data.cast::<Self>()) });
    }
}

/// The type of a child, for the set.
trait AnyOne<C: ?Sized> {
    fn vtable(&self) -> &'static RawWakerVTable;
    fn branch(&self) -> *mut C;

    /// # Safety
    ///
    /// Nobody else has the branch, and it was not dropped.
    unsafe fn poll_end(&self, cx: &mut Context<'_>) -> bool;

    /// # Safety
    ///
    /// Nobody else has the branch, and it was not dropped. It is not touched afterwards.
    unsafe fn drop_branch(&self);
}

impl<S: Hears<B>, B: Lends<C>, C: ?Sized> AnyOne<C> for One<S, B> {
    fn vtable(&self) -> &'static RawWakerVTable {
        &Self::VTABLE
    }

    fn branch(&self) -> *mut C {
        B::lend(self.place())
    }

    #[inline]
    unsafe fn poll_end(&self, cx: &mut Context<'_>) -> bool {
        // SAFETY: as the caller says.
        let branch = unsafe { &mut *self.place() };
        // SAFETY: it is not moved until it is dropped, in its place.
        let branch = unsafe { Pin::new_unchecked(branch) };
        self.beside.poll_end(branch, cx)
    }

    unsafe fn drop_branch(&self) {
        let mut panic = None;
        catch_and_store(&mut panic, || self.beside.close());
        // SAFETY: as the caller says.
        catch_and_store(&mut panic, || unsafe { ptr::drop_in_place(self.place()) });
        match panic {
            Some(panic) if !std::thread::panicking() => resume_unwind(panic),
            Some(panic) => discard(panic),
            None => {}
        }
    }
}

/// A child, as its set has it; `C` is what that sees of its branch.
pub(crate) struct Owned<C: ?Sized> {
    one: Arc<dyn AnyOne<C>>,
    _owns: PhantomData<C>,
}

// SAFETY: where `C` is `Send`, so is the branch, and what is beside it is `Send` and `Sync`: those who make one see to that. `Signal` is both.
unsafe impl<C: ?Sized + Send> Send for Owned<C> {}

impl<B: AnyBranch> Owned<B> {
    /// Makes a child that nobody has a handle of.
    pub(crate) fn alone(branch: B, woken: &Arc<Woken>) -> Self {
        make(branch, (), woken).0
    }
}

impl<'a> Owned<dyn AnyBranch + 'a> {
    /// Makes a child that stays on its thread.
    pub(crate) fn local<S, B>(branch: B, beside: S, woken: &Arc<Woken>) -> (Self, Beside<S>)
    where
        S: Hears<B> + 'a,
        B: AnyBranch + 'a,
    {
        make(branch, beside, woken)
    }
}

impl<'a> Owned<dyn AnyBranch + Send + 'a> {
    /// Makes a child that goes where its set goes.
    pub(crate) fn send<S, B>(branch: B, beside: S, woken: &Arc<Woken>) -> (Self, Beside<S>)
    where
        S: Hears<B> + Send + Sync + 'a,
        B: AnyBranch + Send + 'a,
    {
        make(branch, beside, woken)
    }
}

fn make<'a, S, B, C>(branch: B, beside: S, woken: &Arc<Woken>) -> (Owned<C>, Beside<S>)
where
    S: Hears<B> + 'a,
    B: Lends<C> + 'a,
    C: ?Sized + 'a,
{
    let signal = Signal { index: AtomicUsize::new(0), woken: woken.clone() };
    let one = Arc::new(One { signal, beside, branch: UnsafeCell::new(ManuallyDrop::new(branch)) });
    let handle: Arc<dyn Has<S> + 'a> = one.clone();
    // SAFETY: the same type, with another lifetime. Through it `S` alone is reached, which the type of the handle keeps valid, and the memory is
    // freed, in which neither the branch nor, as `Hears` says, anything that it lent is left by then.
    let handle = unsafe { transmute::<Arc<dyn Has<S> + 'a>, Arc<dyn Has<S>>>(handle) };
    let set: Arc<dyn AnyOne<C> + 'a> = one;
    // SAFETY: the same type, with another lifetime. `C` lives no longer than 'a, so `Owned` does not either, and it drops the branch.
    let set = unsafe { transmute::<Arc<dyn AnyOne<C> + 'a>, Arc<dyn AnyOne<C>>>(set) };
    (Owned { one: set, _owns: PhantomData }, Beside { one: handle })
}

impl<C: ?Sized> Owned<C> {
    /// Polls the child of this number, under a waker of its own. Says whether it has ended.
    #[inline]
    pub(super) fn poll_end(&mut self, index: usize) -> bool {
        let one = Arc::as_ptr(&self.one);
        // SAFETY: it is the first field of every `One`, by its representation.
        let signal = unsafe { &*one.cast::<Signal>() };
        // Relaxed: where it has no number yet, there is no waker yet.
        signal.index.store(index, Ordering::Relaxed);
        let raw = RawWaker::new(one.cast(), self.one.vtable());
        // SAFETY: the table is that of the type behind the pointer, which is of an `Arc`. This waker has no count of its own, and is not dropped;
        // the memory is there until this call has returned, since `self` keeps it.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw) });
        // SAFETY: nobody but this reaches the branch, and this is borrowed mutably. `drop` alone drops it.
        unsafe { self.one.poll_end(&mut Context::from_waker(&waker)) }
    }

    pub(super) fn branch(&self) -> &C {
        // SAFETY: nobody but this reaches the branch, and this is borrowed.
        unsafe { &*self.one.branch() }
    }

    pub(crate) fn branch_mut(&mut self) -> Pin<&mut C> {
        // SAFETY: the same, mutably.
        let branch = unsafe { &mut *self.one.branch() };
        // SAFETY: it is not moved until it is dropped, in its place.
        unsafe { Pin::new_unchecked(branch) }
    }
}

impl<C: ?Sized> Drop for Owned<C> {
    fn drop(&mut self) {
        // SAFETY: nobody but this reaches the branch, and it is dropped here alone.
        unsafe { self.one.drop_branch() };
    }
}

/// What somebody else has of a child.
pub(crate) struct Beside<S> {
    one: Arc<dyn Has<S>>,
}

trait Has<S> {
    fn beside(&self) -> &S;
    fn leave(&self);
}

impl<S: Hears<B>, B> Has<S> for One<S, B> {
    #[inline]
    fn beside(&self) -> &S {
        &self.beside
    }

    fn leave(&self) {
        self.beside.leave();
    }
}

// SAFETY: it reaches `S` alone, which others may reach at the same time; it may be the last that frees it.
unsafe impl<S: Send + Sync> Send for Beside<S> {}
// SAFETY: it reaches `S` alone, which others may reach at the same time.
unsafe impl<S: Send + Sync> Sync for Beside<S> {}

impl<S> Deref for Beside<S> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        self.one.beside()
    }
}

impl<S> Drop for Beside<S> {
    #[inline]
    fn drop(&mut self) {
        self.one.leave();
    }
}
