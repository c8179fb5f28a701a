//! The shared memory of a oneshot, and what each side may do with it. The rules O1 to O3 are in `state.rs`.

#![expect(
    unsafe_code,
    reason = "a value and two wakers that pass between two threads by the bits of one word"
)]

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::task::Waker;

use asyncio_base::shim::UnsafeCell;

use super::state::{
    CLOSED, RECEIVER_LEFT, RECEIVER_WAITS, SENDER_LEFT, SENDER_SPOKE, SENDER_WAITS, SENT, State,
};

struct Memory<T> {
    state: State,
    value: UnsafeCell<MaybeUninit<T>>,
    receiver_waker: UnsafeCell<MaybeUninit<Waker>>,
    sender_waker: UnsafeCell<MaybeUninit<Waker>>,
}

/// Makes the memory, and its two sides.
pub(super) fn new<T>() -> (SenderSide<T>, ReceiverSide<T>) {
    let memory = NonNull::from(Box::leak(Box::new(Memory {
        state: State::new(),
        value: UnsafeCell::new(MaybeUninit::uninit()),
        receiver_waker: UnsafeCell::new(MaybeUninit::uninit()),
        sender_waker: UnsafeCell::new(MaybeUninit::uninit()),
    })));
    (SenderSide(memory), ReceiverSide(memory))
}

pub(super) struct SenderSide<T>(NonNull<Memory<T>>);
pub(super) struct ReceiverSide<T>(NonNull<Memory<T>>);

// SAFETY: the value passes from one side to the other (O1), and the wakers are `Send` and `Sync`.
unsafe impl<T: Send> Send for SenderSide<T> {}
// SAFETY: the same.
unsafe impl<T: Send> Send for ReceiverSide<T> {}
// SAFETY: a `&` of it only loads the state.
unsafe impl<T: Send> Sync for SenderSide<T> {}
// SAFETY: the same.
unsafe impl<T: Send> Sync for ReceiverSide<T> {}

/// Writes a waker where the other side will look for it.
fn put(place: &UnsafeCell<MaybeUninit<Waker>>, waker: Waker) {
    // SAFETY: O2: its bit is not set, so the place is its owner's, who calls this, and nothing is in it.
    place.with_mut(|place| unsafe { place.write(MaybeUninit::new(waker)) });
}

/// Takes a waker out.
///
/// # Safety
///
/// - O2: the caller has just cleared its bit, and it was set.
unsafe fn take(place: &UnsafeCell<MaybeUninit<Waker>>) -> Waker {
    // SAFETY: the caller's promise: it is there, and nobody else's.
    place.with_mut(|place| unsafe { place.cast::<Waker>().read() })
}

/// Frees the memory.
///
/// # Safety
///
/// - O3: both sides have left.
unsafe fn free<T>(memory: NonNull<Memory<T>>) {
    // SAFETY: it came from a box, and nobody else touches it. The value and the wakers in it were taken out, or are forgotten by their type.
    drop(unsafe { Box::from_raw(memory.as_ptr()) });
}

impl<T> SenderSide<T> {
    #[inline]
    fn memory(&self) -> &Memory<T> {
        // SAFETY: O3: this side has not left.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.memory().state.load().has(CLOSED)
    }

    #[inline]
    pub(super) fn send(self, value: T) -> Result<(), T> {
        let memory = self.memory();
        // SAFETY: O1: `SENT` is not set, so the place is the sender's.
        memory.value.with_mut(|place| unsafe { place.write(MaybeUninit::new(value)) });
        if memory.state.transition_to_sent_and_left().is_ok() {
            // It has left.
            std::mem::forget(self);
            return Ok(());
        }
        self.send_to_waiting()
    }

    /// Somebody waits, or has gone.
    #[cold]
    fn send_to_waiting(self) -> Result<(), T> {
        let memory = self.memory();
        // Dropped last: it is a user's code.
        let _own = self.own_waker();
        let Ok(before) = memory.state.transition_to_sent() else {
            // SAFETY: O1: `SENT` was not set, and the value was written by `send`.
            let value = memory.value.with_mut(|place| unsafe { place.cast::<T>().read() });
            return Err(value);
        };
        let woken = before.has(RECEIVER_WAITS).then(|| {
            // SAFETY: O2: the step has cleared it, and it was set.
            unsafe { take(&memory.receiver_waker) }
        });
        // Left before the wake: it is a user's code.
        self.leave();
        woken.into_iter().for_each(Waker::wake);
        Ok(())
    }

    pub(super) fn poll_closed(&mut self, waker: &Waker) -> std::task::Poll<()> {
        let memory = self.memory();
        if memory.state.load().has(CLOSED) {
            return std::task::Poll::Ready(());
        }
        let own = self.own_waker().filter(|own| own.will_wake(waker));
        // O2: where it is not ours any more, the other side is taking it out at this moment, and has spoken in the same step.
        if memory.state.load().has(CLOSED) {
            return std::task::Poll::Ready(());
        }
        put(&memory.sender_waker, own.unwrap_or_else(|| waker.clone()));
        if memory.state.transition_to_waiting(SENDER_WAITS).has(CLOSED) {
            drop(self.own_waker());
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    }

    /// Takes its waker back, if it is still there.
    fn own_waker(&self) -> Option<Waker> {
        let memory = self.memory();
        let is_own = memory.state.load().has(SENDER_WAITS)
            && memory.state.transition_to_not_waiting(SENDER_WAITS).has(SENDER_WAITS);
        is_own.then(|| {
            // SAFETY: O2: we have just cleared it, and it was set.
            unsafe { take(&memory.sender_waker) }
        })
    }

    /// Ends this side, without saying anything.
    fn leave(self) {
        let memory = self.0;
        std::mem::forget(self);
        // SAFETY: O3: this side has not left yet.
        let before = unsafe { memory.as_ref() }.state.transition_to_left(SENDER_LEFT);
        if before.has(RECEIVER_LEFT) {
            // SAFETY: O3: now both have.
            unsafe { free(memory) };
        }
    }
}

impl<T> Drop for SenderSide<T> {
    /// Without having sent.
    fn drop(&mut self) {
        let memory = self.memory();
        let own = self.own_waker();
        let before = memory.state.transition_to_dropped();
        let woken = before.has(RECEIVER_WAITS).then(|| {
            // SAFETY: O2: the step has cleared it, and it was set.
            unsafe { take(&memory.receiver_waker) }
        });
        Self(self.0).leave();
        woken.into_iter().for_each(Waker::wake);
        drop(own);
    }
}

impl<T> ReceiverSide<T> {
    #[inline]
    fn memory(&self) -> &Memory<T> {
        // SAFETY: O3: this side has not left.
        unsafe { self.0.as_ref() }
    }

    /// Whether the value is there.
    #[inline]
    pub(super) fn look(&self) -> Look {
        let now = self.memory().state.load();
        if now.has(SENT) {
            Look::Sent
        } else if now.has(SENDER_SPOKE | CLOSED) {
            Look::Over
        } else {
            Look::Nothing
        }
    }

    /// Looks, and leaves a waker if nothing is there.
    #[inline]
    pub(super) fn poll_look(&mut self, waker: &Waker) -> Look {
        match self.look() {
            Look::Nothing => self.wait(waker),
            seen => seen,
        }
    }

    fn wait(&mut self, waker: &Waker) -> Look {
        let own = self.own_waker().filter(|own| own.will_wake(waker));
        let memory = self.memory();
        // O2: where it is not ours any more, the other side is taking it out at this moment, and has spoken in the same step.
        if memory.state.load().has(SENDER_SPOKE) {
            return self.look();
        }
        put(&memory.receiver_waker, own.unwrap_or_else(|| waker.clone()));
        if memory.state.transition_to_waiting(RECEIVER_WAITS).has(SENDER_SPOKE) {
            drop(self.own_waker());
        }
        self.look()
    }

    /// Takes its waker back, if it is still there.
    fn own_waker(&self) -> Option<Waker> {
        let memory = self.memory();
        let is_own = memory.state.load().has(RECEIVER_WAITS)
            && memory.state.transition_to_not_waiting(RECEIVER_WAITS).has(RECEIVER_WAITS);
        is_own.then(|| {
            // SAFETY: O2: we have just cleared it, and it was set.
            unsafe { take(&memory.receiver_waker) }
        })
    }

    /// Ends this side, and takes the value, if it was sent.
    #[inline]
    pub(super) fn into_value(self) -> Option<T> {
        let memory = self.memory();
        if !memory.state.load().has(SENT) {
            return None;
        }
        // SAFETY: O1: it was sent; it is read once, since this side ends here.
        let value = memory.value.with_mut(|place| unsafe { place.cast::<T>().read() });
        self.leave();
        Some(value)
    }

    /// Says that nothing is wanted any more.
    pub(super) fn close(&self) {
        let memory = self.memory();
        let before = memory.state.transition_to_closed();
        let woken = before.has(SENDER_WAITS).then(|| {
            // SAFETY: O2: the step has cleared it, and it was set.
            unsafe { take(&memory.sender_waker) }
        });
        woken.into_iter().for_each(Waker::wake);
    }

    /// Ends this side, which has closed or has the value.
    #[inline]
    fn leave(self) {
        let memory = self.0;
        std::mem::forget(self);
        // SAFETY: O3: this side has not left yet.
        let state = &unsafe { memory.as_ref() }.state;
        // The load spares the step where the sender has left, which he mostly has.
        if state.load().has(SENDER_LEFT) || state.transition_to_left(RECEIVER_LEFT).has(SENDER_LEFT) {
            // SAFETY: O3: both have left, or he has and we do now.
            unsafe { free(memory) };
        }
    }
}

impl<T> Drop for ReceiverSide<T> {
    /// Without having taken a value.
    fn drop(&mut self) {
        /// Ends the side, also if the sender's waker panics.
        struct Leave<T>(NonNull<Memory<T>>);
        impl<T> Drop for Leave<T> {
            fn drop(&mut self) {
                let side = ReceiverSide(self.0);
                match side.look() {
                    Look::Sent => drop(side.into_value()),
                    Look::Nothing | Look::Over => side.leave(),
                }
            }
        }
        let _leave = Leave(self.0);
        // Dropped after the close: it is a user's code.
        let _own = self.own_waker();
        self.close();
    }
}

/// What came of looking for the value.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// It was not sent yet.
    Nothing,
    Sent,
    /// It never comes.
    Over,
}
