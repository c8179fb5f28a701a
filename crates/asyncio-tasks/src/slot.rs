//! [`Slot`]: one value, from one who makes it to one who waits for it.
//!
//! - W1: the value is written before [`VALUE`] is set, and read after it was seen. Whoever sets [`UNWANTED`] over it drops it; whoever finds
//!   that set has it back.
//! - W2: whoever waits leaves a waker, and then sets [`WAITS`]; either that finds a value, or whoever brings one finds `WAITS`.

#![expect(unsafe_code, reason = "a value that passes from one thread to another by a flag")]

use std::mem::MaybeUninit;
use std::task::{Context, Poll, Waker};

use asyncio_base::shim::{Arc, AtomicU8, Mutex, Ordering, UnsafeCell};

/// No value has come.
const EMPTY: u8 = 0;
/// None has come, and somebody is to be woken.
const WAITS: u8 = 1;
/// It is here.
const VALUE: u8 = 2;
/// It was taken.
const TAKEN: u8 = 3;
/// Nobody wants it.
const UNWANTED: u8 = 4;
/// None will come.
const LOST: u8 = 5;

pub(crate) struct Slot<T> {
    stage: AtomicU8,
    /// There while the stage is `VALUE`.
    value: UnsafeCell<MaybeUninit<T>>,
    /// Whoever waits.
    waits: Mutex<Option<Waker>>,
}

// SAFETY: it hands a value from one thread to another.
unsafe impl<T: Send> Send for Slot<T> {}
// SAFETY: the same; W1 orders the two, and nobody has a `&T`.
unsafe impl<T: Send> Sync for Slot<T> {}

/// No value comes: it was taken, or was never made.
pub(crate) struct Lost;

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            stage: AtomicU8::new(EMPTY),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            waits: Mutex::new(None),
        }
    }
}

/// Returns the two ends of a slot.
pub(crate) fn slot<T>() -> (Giver<T>, Taker<T>) {
    let slot = Arc::new(Slot::default());
    (Giver(slot.clone()), Taker(slot))
}

/// Who makes the value.
pub(crate) struct Giver<T>(Arc<Slot<T>>);

impl<T> Giver<T> {
    /// Gives the value; or gives it back where nobody wants it any more.
    pub(crate) fn give(self, value: T) -> Result<(), T> {
        // SAFETY: once, since this ends here.
        unsafe { self.0.offer(value) }
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Who waits for the value.
pub(crate) struct Taker<T>(Arc<Slot<T>>);

impl<T> Taker<T> {
    /// Takes the value, or waits for it.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Lost>> {
        // SAFETY: this alone takes, and is borrowed mutably.
        unsafe { self.0.poll_take(cx) }
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<T> Slot<T> {
    /// Gives the value; or gives it back where nobody wants it any more.
    ///
    /// # Safety
    ///
    /// It is called once.
    pub(crate) unsafe fn offer(&self, value: T) -> Result<(), T> {
        // SAFETY: this is the only one that writes, and nobody reads before the stage says so.
        self.value.with_mut(|place| unsafe { place.cast::<T>().write(value) });
        // AcqRel: W1, W2.
        match self.stage.swap(VALUE, Ordering::AcqRel) {
            UNWANTED => {
                self.stage.store(UNWANTED, Ordering::Relaxed);
                // SAFETY: it was just written, and whoever would have read it has gone.
                return Err(unsafe { self.read() });
            }
            WAITS => self.wake(),
            _ => {}
        }
        Ok(())
    }

    /// Says that nobody wants the value any more. Nobody takes it afterwards.
    pub(crate) fn leave(&self) {
        // Relaxed: whoever leaves is who took it, or has it from there.
        if self.stage.load(Ordering::Relaxed) == TAKEN {
            return;
        }
        // AcqRel: W1.
        if self.stage.swap(UNWANTED, Ordering::AcqRel) == VALUE {
            // SAFETY: it was there, and is not any more: whoever made it has done.
            drop(unsafe { self.read() });
        }
        let waits = self.waits.lock().take();
        drop(waits);
    }

    /// Says that no value comes, unless it has come.
    pub(crate) fn close(&self) {
        let lose = |stage| if matches!(stage, EMPTY | WAITS) { Some(LOST) } else { None };
        // AcqRel: W2.
        if self.stage.fetch_update(Ordering::AcqRel, Ordering::Relaxed, lose) == Ok(WAITS) {
            self.wake();
        }
    }

    /// Takes the value. If it has not come yet, whoever makes it wakes `cx`.
    ///
    /// # Safety
    ///
    /// One at a time calls it, one after another, and not after [`leave`](Self::leave).
    pub(crate) unsafe fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Result<T, Lost>> {
        let mut has_waited = false;
        loop {
            // Acquire: W1.
            match self.stage.load(Ordering::Acquire) {
                VALUE => {
                    if has_waited {
                        // It came meanwhile, and nobody takes the waker any more.
                        let waits = self.waits.lock().take();
                        drop(waits);
                    }
                    // Relaxed: it is told to whoever leaves, and to the drop.
                    self.stage.store(TAKEN, Ordering::Relaxed);
                    // SAFETY: it is there, nobody else takes, and now the stage says that it is gone.
                    return Poll::Ready(Ok(unsafe { self.read() }));
                }
                EMPTY | WAITS => {}
                _ => return Poll::Ready(Err(Lost)),
            }
            self.wait(cx.waker());
            has_waited = true;
            // AcqRel: W2.
            let wait = |stage| if matches!(stage, EMPTY | WAITS) { Some(WAITS) } else { None };
            if self.stage.fetch_update(Ordering::AcqRel, Ordering::Relaxed, wait).is_ok() {
                return Poll::Pending;
            }
        }
    }

    fn wait(&self, waker: &Waker) {
        if self.waits.lock().as_ref().is_some_and(|former| former.will_wake(waker)) {
            return;
        }
        // Outside of the lock: wakers are cloned and dropped.
        let waker = waker.clone();
        let former = self.waits.lock().replace(waker);
        drop(former);
    }

    #[cold]
    fn wake(&self) {
        let waits = self.waits.lock().take();
        if let Some(waits) = waits {
            waits.wake();
        }
    }

    /// # Safety
    ///
    /// The value is there, and is not read again.
    unsafe fn read(&self) -> T {
        // SAFETY: as the caller says.
        self.value.with(|place| unsafe { place.cast::<T>().read() })
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        // Relaxed: whoever drops it has it for itself, by the count of the `Arc` around; which loom does not see.
        let stage = match cfg!(loom) {
            true => self.stage.fetch_or(0, Ordering::Acquire),
            false => self.stage.load(Ordering::Relaxed),
        };
        if stage == VALUE {
            // SAFETY: it is there, and this is the last that sees it.
            drop(unsafe { self.read() });
        }
    }
}
