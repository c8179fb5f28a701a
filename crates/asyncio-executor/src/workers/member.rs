//! [`Member`]: one worker's side of an executor: its own end of its ring, and how it looks for work.
//!
//! What it puts into its ring by itself, when it moves work about, needs to be announced as a push does; [`Found`] says so.

use asyncio_base::shim::{Arc, thread};

use super::ring::{self, OwnEnd, Raw};
use super::shared::{Seat, Shared};

/// The worker that sits at a seat. It is the seat's thread that has it.
pub(crate) struct Member<T: Raw> {
    shared: Arc<Shared<T>>,
    seat: Arc<Seat<T>>,
    own: OwnEnd<T>,
    /// The index of the item that the next token stands for. Tokens and items come in the same order, one for one; a token whose item was
    /// stolen stands for nothing.
    next: usize,
    /// How many items in a row were run from the hot place.
    streak: u32,
    /// It has said that it sleeps, and has not risen.
    is_asleep: bool,
    /// The worker looks at its queue as soon as what it is doing now is done, and that is nothing of a user's.
    pub(crate) is_attentive: bool,
    /// Where the next search begins: elsewhere each time, so that not all go for the same victim.
    random: u32,
}

/// So many polls in a row may come from the hot place, before what was ready earlier has its turn: tokio's number too.
const STREAK_MAX: u32 = 3;

/// What a search found.
#[must_use = "the tokens of what was found are to be queued, and help may be needed"]
pub(crate) struct Found {
    /// How many items it put into the ring.
    pub(crate) count: usize,
    /// There is more, and nobody searches: somebody is to be summoned.
    pub(crate) needs_help: bool,
}

impl Found {
    const NOTHING: Self = Self { count: 0, needs_help: false };
}

/// What is in the hot place.
pub(crate) enum FromHot<T> {
    Nothing,
    /// It is to be run now.
    Run(T),
    /// It has been before the others often enough, and is in the ring now: to be announced.
    Queued,
}

impl<T: Raw> Member<T> {
    pub(crate) fn new(shared: &Arc<Shared<T>>, seat: &Arc<Seat<T>>, own: OwnEnd<T>) -> Self {
        let random = u32::try_from(seat.index()).unwrap_or(0).wrapping_mul(0x9E37_79B9) | 1;
        Self {
            shared: shared.clone(),
            seat: seat.clone(),
            next: own.next_index(),
            own,
            streak: 0,
            is_asleep: false,
            is_attentive: false,
            random,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<T>> {
        &self.shared
    }

    pub(crate) fn seat(&self) -> &Arc<Seat<T>> {
        &self.seat
    }

    /// Puts an item into the ring: the caller queues a token for it.
    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        self.own.push(item);
    }

    /// Puts an item into the hot place; says whether there was one, which is in the ring then.
    #[inline]
    pub(crate) fn push_hot(&mut self, item: T) -> bool {
        let former = self.seat.hot().put(item);
        former.map(|former| self.own.push(former)).is_some()
    }

    /// Says whether there is something that others could take.
    #[inline]
    pub(crate) fn has_items(&self) -> bool {
        self.own.len() > 0
    }

    /// Returns how many tokens stand for nothing, because their items were stolen.
    pub(crate) fn stale(&self) -> usize {
        self.own.next_index().wrapping_sub(self.next) - self.own.len()
    }

    /// Returns the item that the first of the tokens stands for, unless it was stolen.
    #[inline]
    pub(crate) fn take_next(&mut self) -> Option<T> {
        let index = self.next;
        self.next = index.wrapping_add(1);
        self.own.take(index)
    }

    #[inline]
    pub(crate) fn is_hot(&self) -> bool {
        !self.seat.hot().is_empty()
    }

    /// Takes what is hot; where others wait, at most so many times in a row.
    #[inline]
    pub(crate) fn take_hot(&mut self, do_others_wait: bool) -> FromHot<T> {
        let Some(item) = self.seat.hot().take() else {
            self.streak = 0;
            return FromHot::Nothing;
        };
        self.streak = self.streak.saturating_add(1);
        if self.streak <= STREAK_MAX || !do_others_wait {
            return FromHot::Run(item);
        }
        self.streak = 0;
        self.own.push(item);
        FromHot::Queued
    }

    /// Moves this worker's part of what was injected into the ring, and returns how many items that were.
    #[inline]
    pub(crate) fn take_injected(&mut self) -> usize {
        if !self.shared.is_anything_injected() {
            return 0;
        }
        let own = &mut self.own;
        self.shared.take_injected(|item| own.push(item))
    }

    /// Looks for work, because there is none here; if it finds none, the worker sleeps from now on: it may wait, and must
    /// [`rise`](Self::rise) afterwards.
    pub(crate) fn find_or_sleep(&mut self) -> Found {
        if self.is_asleep {
            let found = self.rise();
            if found.count > 0 {
                return found;
            }
        }
        let shared = self.shared.clone();
        let (idle, me) = (shared.idle(), self.seat.index());
        let mut is_searcher = idle.begin_searching();
        loop {
            if is_searcher {
                let count = self.search();
                if count > 0 {
                    return self.stop_searching(count);
                }
            }
            // I2, and then I3.
            idle.sleep(me);
            let nobody_searches =
                if is_searcher { idle.stop_searching() } else { !idle.is_anybody_searching() };
            if !nobody_searches || shared.is_closed() || !shared.has_work() {
                self.is_asleep = true;
                self.is_attentive = true;
                return Found::NOTHING;
            }
            // Its owner may be about to take it, and have had no time to.
            thread::yield_now();
            is_searcher = !idle.rise(me) || idle.begin_searching();
        }
    }

    /// Ends the sleep; if it was summoned, looks for what it was summoned for.
    pub(crate) fn rise(&mut self) -> Found {
        if !std::mem::take(&mut self.is_asleep) {
            return Found::NOTHING;
        }
        self.is_attentive = false;
        let idle = self.shared.idle();
        if idle.rise(self.seat.index()) {
            return Found::NOTHING;
        }
        loop {
            let count = self.search();
            let found = self.stop_searching(count);
            // I3: one who found nothing, and was the last, looks once more. What is here is no reason: it comes to that anyway.
            let is_done = count > 0 || !found.needs_help || !self.shared.has_work_besides(self.seat.index());
            if is_done || !self.shared.idle().begin_searching() {
                return found;
            }
            thread::yield_now();
        }
    }

    fn stop_searching(&self, count: usize) -> Found {
        let is_last = self.shared.idle().stop_searching();
        // I4. The first one that is here is this worker's own business.
        let is_more = || self.own.len() > 1 || self.shared.has_work_besides(self.seat.index());
        Found { count, needs_help: is_last && is_more() }
    }

    /// Moves work of others into the ring, and returns how many items that were.
    fn search(&mut self) -> usize {
        let injected = self.take_injected();
        if injected > 0 {
            return injected;
        }
        let shared = self.shared.clone();
        let seats = shared.seats();
        let start = self.next_random() as usize % seats.len();
        let others = || {
            let (before, after) = seats.split_at(start);
            after.iter().chain(before).filter(|seat| seat.index() != self.seat.index())
        };
        for seat in others() {
            let own = &mut self.own;
            let stolen = seat.stealer().steal(|item| own.push(item));
            if stolen > 0 {
                return stolen;
            }
        }
        // At last resort: what others are about to run, unless they are held up.
        for seat in others() {
            if let Some(item) = seat.hot().take() {
                self.own.push(item);
                return 1;
            }
        }
        0
    }

    /// Xorshift (Marsaglia, 2003).
    fn next_random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }

    /// Lets others have what is ready here, because this worker will not look at it for a while.
    pub(crate) fn step_away(&mut self) -> Found {
        self.is_attentive = false;
        let hot = self.seat.hot().take();
        let count = hot.map(|item| self.own.push(item)).map_or(0, |()| 1);
        Found { count, needs_help: !self.seat.stealer().is_empty() }
    }
}

/// Whoever stands up leaves nothing behind.
impl<T: Raw> Drop for Member<T> {
    fn drop(&mut self) {
        if self.rise().needs_help {
            // Summoned, and nobody else is: those who are left will see to what it was summoned for.
            self.shared.summon(self.seat.index());
        }
        let mut items: Vec<T> = self.seat.hot().take().into_iter().collect();
        while !self.seat.stealer().is_empty() {
            if self.seat.stealer().steal(|item| items.push(item)) == 0 {
                // Another thief is at it.
                thread::yield_now();
            }
        }
        let (empty, _) = ring::new();
        self.seat.vacate(std::mem::replace(&mut self.own, empty));
        items.into_iter().for_each(|item| self.shared.inject(item));
    }
}
