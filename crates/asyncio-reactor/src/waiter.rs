//! [`Waiter`]: one party's place among those that wait for a direction of a descriptor.

use std::fmt;

use asyncio_base::shim::Arc;

use crate::readiness::Direction;
use crate::state::IoState;

/// One party's place among those that wait: a key that deregisters itself when dropped.
///
/// Every poll call of [`Socket`](crate::Socket) and [`Readiness`](crate::Readiness) takes one. A future or a half of a
/// stream owns one for each direction it uses, and may use it again for the next operation. Two tasks that wait for the
/// same direction own one each, and both are woken.
///
/// A waiter is bound to one direction of one descriptor at a time; used with another, it leaves the former place.
///
/// One poll is good for one wake, as with every future. Whoever wants to hear of every event until he leaves has one that is
/// [standing](Self::standing).
pub struct Waiter {
    /// Where it has a place, if it has one; the place is the next two.
    pub(crate) state: Option<Arc<IoState>>,
    pub(crate) index: u32,
    pub(crate) direction: Direction,
    /// Its waker stays there when it is woken.
    pub(crate) stands: bool,
    /// It is to stand where it can.
    pub(crate) wants_to_stand: bool,
    /// Nobody waits by it: it takes no place.
    pub(crate) is_nobodys: bool,
}

impl Waiter {
    /// Makes a waiter that does not wait for anything yet.
    #[inline]
    pub const fn new() -> Self {
        Self::that(false)
    }

    /// Makes a waiter that is woken by every event from its first `Pending` on, until it leaves, and need not poll again in between: for
    /// whoever is told at once of what happens to many descriptors.
    ///
    /// It [stands](Self::stands) only where the reactor can do that; otherwise, and while another one stands in the same direction, it is as any
    /// other. Its waker is cloned under a lock: that must do no more than count, as that of a [`Wake`](std::task::Wake) does.
    #[inline]
    pub const fn standing() -> Self {
        Self::that(true)
    }

    const fn that(wants_to_stand: bool) -> Self {
        Self {
            state: None,
            index: 0,
            direction: Direction::Read,
            stands: false,
            wants_to_stand,
            is_nobodys: false,
        }
    }

    /// Makes one by which nobody waits, for a single try: where that would have to wait it takes no place, which would cost memory beside
    /// somebody who has the first.
    pub(crate) const fn nobodys() -> Self {
        let mut waiter = Self::new();
        waiter.is_nobodys = true;
        waiter
    }

    /// Says whether every event of this direction wakes it from now on. Then whoever has [drained](crate::Received::is_drained) the descriptor
    /// need not poll it.
    #[inline]
    pub fn stands(&self, direction: Direction) -> bool {
        self.stands && self.direction == direction
    }

    /// Leaves the present place, if any; nothing will wake this waiter.
    #[inline]
    pub fn leave(&mut self) {
        if let Some(state) = self.state.take() {
            self.leave_place(&state);
        }
    }

    fn leave_place(&mut self, state: &IoState) {
        self.stands = false;
        state.leave(self.direction, self.index);
    }
}

impl Default for Waiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Waiter {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = self.state.as_ref().map(|_| self.direction);
        f.debug_struct("Waiter").field("direction", &direction).finish_non_exhaustive()
    }
}
