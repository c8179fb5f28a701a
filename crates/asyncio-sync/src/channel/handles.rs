//! What both ends of a channel share: the exchange, and how many handles there are of each kind.

use std::ops::Deref;

use asyncio_base::shim::{AtomicUsize, Ordering};

use crate::channel::ChannelStatistics;
use crate::exchange::{Exchange, Fifo};
use crate::wait::Finally;

/// What both ends share.
pub(crate) struct Shared<T> {
    exchange: Exchange<Fifo<T>>,
    pub(super) senders: Count,
    pub(super) receivers: Count,
}

impl<T> Shared<T> {
    /// With one sender and one receiver.
    pub(super) fn new(exchange: Exchange<Fifo<T>>) -> Self {
        Self { exchange, senders: Count::one(), receivers: Count::one() }
    }

    pub(super) fn statistics(&self) -> ChannelStatistics {
        ChannelStatistics::of(self, &self.exchange.state().lock())
    }

    /// The same, without waiting for anybody.
    pub(super) fn peek(&self) -> Option<ChannelStatistics> {
        self.exchange.state().peek(|state| ChannelStatistics::of(self, state))
    }

    pub(super) fn sender_gone(&self) {
        if self.senders.remove() {
            self.close();
        }
    }

    pub(super) fn receiver_gone(&self) {
        if self.receivers.remove() {
            // Everybody is told before the items' own code runs.
            let then = Finally(|| self.exchange.note_for_watching());
            let dropped = self.exchange.clear();
            drop(then);
            drop(dropped);
        }
    }

    /// Says whether it was open.
    pub(super) fn close(&self) -> bool {
        let _then = Finally(|| self.exchange.note_for_watching());
        self.exchange.close()
    }
}

impl<T> Deref for Shared<T> {
    type Target = Exchange<Fifo<T>>;

    #[inline]
    fn deref(&self) -> &Exchange<Fifo<T>> {
        &self.exchange
    }
}

/// Where an `Arc` of the shared part refers to the exchange in it.
pub(super) struct Shares<T>(pub(super) asyncio_base::shim::Arc<Shared<T>>);

impl<T> Deref for Shares<T> {
    type Target = Exchange<Fifo<T>>;

    #[inline]
    fn deref(&self) -> &Exchange<Fifo<T>> {
        &self.0.exchange
    }
}

/// How many handles of a kind there are. Once there are none, there will be none.
pub(super) struct Count(AtomicUsize);

impl Count {
    fn one() -> Self {
        Self(AtomicUsize::new(1))
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One more, made from one that there is.
    pub(super) fn add(&self) {
        // Relaxed: as with `Arc`, whoever adds has a handle, which cannot go meanwhile.
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        if count > usize::MAX / 2 {
            // Only handles that are forgotten in a loop come so far; a count that wraps would close what is in use.
            std::process::abort();
        }
    }

    /// One more, if there is one.
    pub(super) fn add_if_any(&self) -> bool {
        // Relaxed: the count says by itself whether there is one; what the handle leads to is behind a lock.
        let added =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count > 0).then(|| count + 1));
        added.is_ok()
    }

    /// One less. Says whether it was the last.
    fn remove(&self) -> bool {
        // AcqRel: what the others did with theirs comes before what the last one does now.
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}
