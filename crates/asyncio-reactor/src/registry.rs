//! The registrations of a reactor, by keys that never reach the next owner of a place.
//!
//! A key is the place in the lower half of a `usize` and a generation in the upper half. The generation counts all
//! registrations of the reactor, so an event that was fetched before its descriptor was deregistered finds nothing
//! (RUSTSEC-2024-0019 in mio, golang #59545).

use asyncio_base::shim::Arc;
use slab::Slab;

use crate::state::IoState;

const HALF: u32 = usize::BITS / 2;
const INDEX: usize = (1 << HALF) - 1;
/// Leaves out the highest generation, so that no key is `usize::MAX`, which `polling` keeps for itself.
const GENERATIONS: usize = INDEX;

#[derive(Debug, Default)]
pub(crate) struct Registry {
    entries: Slab<(usize, Arc<IoState>)>,
    registrations: usize,
}

impl Registry {
    pub(crate) fn insert(&mut self, state: Arc<IoState>) -> usize {
        let generation = self.registrations % GENERATIONS;
        self.registrations = self.registrations.wrapping_add(1);
        let index = self.entries.insert((generation, state));
        assert!(index <= INDEX, "a reactor watches fewer than 2^{HALF} descriptors");
        (generation << HALF) | index
    }

    #[inline]
    pub(crate) fn get(&self, key: usize) -> Option<&Arc<IoState>> {
        let (generation, state) = self.entries.get(key & INDEX)?;
        (*generation == key >> HALF).then_some(state)
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<Arc<IoState>> {
        self.get(key)?;
        Some(self.entries.remove(key & INDEX).1)
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<Arc<IoState>> {
        std::mem::take(&mut self.entries).into_iter().map(|(_, (_, state))| state).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_reaches_the_next_owner_of_a_place() {
        let mut registry = Registry::default();
        let old = registry.insert(Arc::new(IoState::new()));
        let state = registry.remove(old).unwrap();
        let new = registry.insert(Arc::new(IoState::new()));
        assert_eq!(old & INDEX, new & INDEX, "the place is used again");
        assert!(registry.get(old).is_none() && registry.remove(old).is_none());
        assert!(!Arc::ptr_eq(registry.get(new).unwrap(), &state));
        assert!(registry.get(usize::MAX).is_none());
        assert_eq!(registry.len(), 1);
    }
}
