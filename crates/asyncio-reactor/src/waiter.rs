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
#[derive(Default)]
pub struct Waiter {
    pub(crate) place: Option<Place>,
}

/// Where a waiter is registered.
pub(crate) struct Place {
    pub(crate) state: Arc<IoState>,
    pub(crate) index: u32,
    pub(crate) direction: Direction,
}

impl Waiter {
    /// Makes a waiter that does not wait for anything yet.
    #[inline]
    pub const fn new() -> Self {
        Self { place: None }
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
