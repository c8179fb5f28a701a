//! [`Ready`]: what is ready on one thread, and what is next.
//!
//! There is one queue, so that there is one order: for tasks of this thread, for its main future, and for those that other workers may take.
//! The latter wait in a ring ([`Member`]); here a token stands for each.

use std::collections::VecDeque;

use asyncio_base::shim::Arc;

use crate::current;
use crate::schedule::{ReadyTasks, Schedule};
use crate::task::{LocalTask, Runnable};
use crate::workers::{Attention, Found, FromHot, Member, Shared};

/// What waits in the queue.
pub(crate) enum Entry {
    Task(LocalTask),
    /// The main future of a loop, which its owner polls in place.
    Main,
    /// A token for the next item of this worker's ring, from where others may have taken it.
    Shared,
}

/// What is to be run.
pub(crate) enum Next {
    Task(LocalTask),
    Main,
    Shared(Runnable),
    /// To be dropped, since its executor is closed.
    Dropped(Runnable),
    /// Nothing yet: it was put behind others, and that is to be announced.
    Announce(Helper),
}

impl From<Entry> for Next {
    /// Of a queue without tokens.
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Task(task) => Self::Task(task),
            Entry::Main => Self::Main,
            Entry::Shared => unreachable!("a member's token"),
        }
    }
}

/// What is to be told of what was put into a ring, outside of every borrow.
pub(crate) struct Helper {
    executor: Arc<Shared<Runnable>>,
    worker: usize,
}

impl Helper {
    fn of(member: &Member<Runnable>) -> Self {
        Self { executor: member.shared().clone(), worker: member.seat().index() }
    }

    pub(crate) fn announce(self) {
        self.executor.after_push(self.worker);
    }
}

/// How a task came to be ready.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Because {
    Spawned,
    Woken,
}

/// What is ready, in order: the places, and then the tokens that trail.
#[derive(Default)]
struct Entries {
    /// `None` stands for the next of `others`, so that a task takes 8 bytes here and not 16.
    places: VecDeque<Option<LocalTask>>,
    others: VecDeque<Other>,
    /// How many tokens have no place: those that trail, and in `others` all but the first of each row.
    placeless: usize,
    /// How many tokens come behind all places.
    trailing: usize,
}

/// What is ready and no task of this thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Main,
    /// So many tokens in a row.
    Shared(usize),
}

const _: () =
    assert!(size_of::<Option<LocalTask>>() == size_of::<usize>(), "what the row `mem_task` counts on");

impl Entries {
    #[inline]
    fn push(&mut self, entry: Entry) {
        if self.trailing > 0 {
            self.place_tokens();
        }
        match entry {
            Entry::Task(task) => self.places.push_back(Some(task)),
            Entry::Main => self.push_other(Other::Main),
            Entry::Shared => self.push_tokens(1),
        }
    }

    fn push_other(&mut self, other: Other) {
        self.places.push_back(None);
        self.others.push_back(other);
    }

    /// Something comes behind the tokens.
    #[cold]
    #[inline(never)]
    fn place_tokens(&mut self) {
        let row = std::mem::take(&mut self.trailing);
        self.push_other(Other::Shared(row));
        // The first of them has one now.
        self.placeless -= 1;
    }

    #[inline]
    fn push_tokens(&mut self, count: usize) {
        self.trailing += count;
        self.placeless += count;
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<Entry> {
        match self.places.pop_front() {
            Some(Some(task)) => Some(Entry::Task(task)),
            Some(None) => self.pop_other(),
            None => {
                self.trailing = self.trailing.checked_sub(1)?;
                self.placeless -= 1;
                Some(Entry::Shared)
            }
        }
    }

    /// Its place was taken out.
    fn pop_other(&mut self) -> Option<Entry> {
        match self.others.front_mut()? {
            Other::Shared(row @ 2..) => {
                *row -= 1;
                self.placeless -= 1;
                // The others of the row stay where it was.
                self.places.push_front(None);
                return Some(Entry::Shared);
            }
            Other::Shared(_) | Other::Main => {}
        }
        self.others.pop_front().map(|other| match other {
            Other::Main => Entry::Main,
            Other::Shared(_) => Entry::Shared,
        })
    }

    /// Takes one from the middle. Only where there are no tokens, so that there is at most one other: which one it is needs no order.
    fn swap_remove(&mut self, chosen: usize) -> Option<Entry> {
        match self.places.swap_remove_front(chosen)? {
            Some(task) => Some(Entry::Task(task)),
            None => self.pop_other(),
        }
    }

    fn is_token_first(&self) -> bool {
        match self.places.front() {
            Some(place) => place.is_none() && matches!(self.others.front(), Some(Other::Shared(_))),
            None => self.trailing > 0,
        }
    }

    #[inline]
    fn len(&self) -> usize {
        self.places.len() + self.placeless
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.places.is_empty() && self.placeless == 0
    }
}

pub(crate) struct Ready {
    entries: Entries,
    /// How many of them belong to the present round. Only whoever chooses asks: first in, first out, rounds follow one another by themselves.
    round_left: usize,
    /// `None` is first in, first out.
    schedule: Option<Box<dyn Schedule>>,
    /// This worker's side of an executor of several, if it is one of them.
    member: Option<Member<Runnable>>,
    /// There is neither a schedule nor a member.
    is_plain: bool,
}

impl Ready {
    pub(crate) fn new(schedule: Option<Box<dyn Schedule>>) -> Self {
        let is_plain = schedule.is_none();
        Self { entries: Entries::default(), round_left: 0, schedule, member: None, is_plain }
    }

    pub(crate) fn join(&mut self, member: Member<Runnable>) {
        self.member = Some(member);
        self.is_plain = false;
    }

    #[inline]
    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Next> {
        if !self.is_plain {
            return self.pop_chosen();
        }
        // As `Entries::pop`, but that here are no tokens: which one comes is known by one comparison.
        match self.entries.places.pop_front()? {
            Some(task) => Some(Next::Task(task)),
            None => self.entries.pop_other().map(Next::from),
        }
    }

    /// The same where more than the order has a say in it.
    #[inline(always)]
    fn pop_chosen(&mut self) -> Option<Next> {
        if self.member.is_some() { self.pop_as_member() } else { self.pop_scheduled().map(Next::from) }
    }

    #[cold]
    fn pop_scheduled(&mut self) -> Option<Entry> {
        if self.round_left == 0 {
            self.round_left = self.entries.len();
        }
        let count = self.round_left.min(self.entries.len());
        self.round_left = self.round_left.checked_sub(1)?;
        let schedule = self.schedule.as_mut().filter(|_| count > 0)?;
        let chosen = schedule.next(ReadyTasks { queue: &self.entries.places, count }) % count;
        // Whoever has a schedule has no tokens.
        self.entries.swap_remove(chosen)
    }

    /// What is hot first; and past the tokens whose items were stolen.
    #[inline]
    fn pop_as_member(&mut self) -> Option<Next> {
        let member = self.member.as_mut()?;
        let is_closed = member.shared().is_closed();
        let checked = |runnable| if is_closed { Next::Dropped(runnable) } else { Next::Shared(runnable) };
        match member.take_hot(!self.entries.is_empty()) {
            FromHot::Run(runnable) => return Some(checked(runnable)),
            FromHot::Queued => {
                self.entries.push_tokens(1);
                return Some(Next::Announce(Helper::of(member)));
            }
            FromHot::Nothing => {}
        }
        loop {
            match self.entries.pop()? {
                Entry::Task(task) => return Some(Next::Task(task)),
                Entry::Main => return Some(Next::Main),
                Entry::Shared => {
                    if let Some(runnable) = self.member.as_mut().and_then(Member::take_next) {
                        return Some(checked(runnable));
                    }
                }
            }
        }
    }

    /// Returns how much there is to be run.
    pub(crate) fn count(&self) -> usize {
        let Some(member) = &self.member else { return self.entries.len() };
        self.entries.len() - member.stale() + usize::from(member.is_hot())
    }

    /// Says whether the worker looks at its queue as soon as what it is doing is done, and that is nothing of a user's.
    #[inline]
    pub(crate) fn set_attentive(&mut self, is_attentive: bool) {
        if let Some(member) = &mut self.member {
            member.is_attentive = is_attentive;
        }
    }

    pub(crate) fn member(&self) -> Option<&Member<Runnable>> {
        self.member.as_ref()
    }

    /// Takes this worker's part of what others spawned or woke from outside. Returns whom to tell of it.
    #[inline]
    pub(crate) fn take_injected(&mut self) -> Option<Helper> {
        let count = self.member.as_mut()?.take_injected();
        if count == 0 {
            return None;
        }
        self.queue_tokens(count);
        self.helper(false)
    }

    /// Has the member look for work. Says whether it found some, and whom to tell if there is more.
    pub(crate) fn with_member(
        &mut self,
        step: impl FnOnce(&mut Member<Runnable>) -> Found,
    ) -> (bool, Option<Helper>) {
        let Some(member) = &mut self.member else { return (false, None) };
        let found = step(member);
        self.queue_tokens(found.count);
        (found.count > 0, self.helper(found.needs_help))
    }

    /// Returns whom to tell, if there is more than this worker comes to next, or if that is to stand behind something of its own: which may
    /// wait for it.
    fn helper(&self, needs_help: bool) -> Option<Helper> {
        let member = self.member.as_ref()?;
        let is_next = self.entries.is_empty() || self.entries.is_token_first();
        (needs_help || (!is_next && member.has_items())).then(|| Helper::of(member))
    }

    fn queue_tokens(&mut self, count: usize) {
        self.entries.push_tokens(count);
    }

    /// Makes a task of `executor` ready here; gives it back if this is no worker of that. Returns whom to tell, if it has to be announced.
    #[inline]
    pub(crate) fn push_shared(
        &mut self,
        executor: *const Shared<Runnable>,
        runnable: Runnable,
        because: Because,
    ) -> Result<Option<Helper>, Runnable> {
        let Some(member) = self.member.as_mut().filter(|member| Arc::as_ptr(member.shared()) == executor)
        else {
            return Err(runnable);
        };
        let is_in_task = current::is_in_task();
        if is_in_task && because == Because::Woken && member.is_attentive {
            // It talks to the one that is polled now, whose data is at hand. Nobody needs to be told.
            if !member.push_hot(runnable) {
                return Ok(None);
            }
        } else {
            // The worker comes to it at once: neither does anybody for this.
            let is_next = member.is_attentive && !is_in_task && self.entries.is_empty() && !member.is_hot();
            member.push(runnable);
            if is_next && !member.shared().is_closed() {
                self.entries.push_tokens(1);
                return Ok(None);
            }
        }
        self.entries.push_tokens(1);
        Ok(match member.shared().attention() {
            Attention::Given => None,
            Attention::Wanted | Attention::Closed => Some(Helper::of(member)),
        })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Rows of tokens against a queue in which each has its place.
    #[test]
    fn tokens_in_rows_come_in_the_order_in_which_they_were_queued() {
        let mut random = 1_u64;
        let (mut entries, mut model) = (Entries::default(), VecDeque::new());
        for step in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Phases in which it fills, and phases in which it empties.
            let fills = (step / 50) % 2 == 0;
            let is_push = (random >> 60) < if fills { 12 } else { 4 };
            let is_main = (random >> 40) % 8 == 0;
            match (is_push, is_main) {
                (true, true) => entries.push(Entry::Main),
                (true, false) => entries.push_tokens(1),
                (false, _) => {
                    let expected: Option<bool> = model.pop_front();
                    assert_eq!(entries.is_token_first(), expected == Some(false), "step {step}");
                    let popped = entries.pop().map(|entry| matches!(entry, Entry::Main));
                    assert_eq!(popped, expected, "step {step}");
                }
            }
            if is_push {
                model.push_back(is_main);
            }
            assert_eq!((entries.len(), entries.is_empty()), (model.len(), model.is_empty()), "step {step}");
        }
    }
}
