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
#[derive(Default)]
pub struct Waiter {
    pub(crate) place: Option<Place>,
    pub(crate) is_standing: bool,
}

/// Where a waiter is registered.
pub(crate) struct Place {
    pub(crate) state: Arc<IoState>,
    pub(crate) index: u32,
    pub(crate) direction: Direction,
    /// Its waker stays there when it is woken.
    pub(crate) stands: bool,
}

impl Waiter {
    /// Makes a waiter that does not wait for anything yet.
    #[inline]
    pub const fn new() -> Self {
        Self { place: None, is_standing: false }
    }

    /// Makes a waiter that is woken by every event from its first `Pending` on, until it leaves, and need not poll again in between: for
    /// whoever is told at once of what happens to many descriptors.
    ///
    /// It [stands](Self::stands) only where the reactor can do that; otherwise, and while another one stands in the same direction, it is as any
    /// other. Its waker is cloned under a lock: that must do no more than count, as that of a [`Wake`](std::task::Wake) does.
    #[inline]
    pub const fn standing() -> Self {
        Self { place: None, is_standing: true }
    }

    /// Says whether every event from now on wakes it. Then whoever has [drained](crate::Received::is_drained) the descriptor need not poll it.
    #[inline]
    pub fn stands(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.stands)
    }

    /// Leaves the present place, if any; nothing will wake this waiter.
    pub fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            place.state.leave(place.direction, place.index);
        }
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
        let direction = self.place.as_ref().map(|place| place.direction);
        f.debug_struct("Waiter").field("direction", &direction).finish_non_exhaustive()
    }
}
