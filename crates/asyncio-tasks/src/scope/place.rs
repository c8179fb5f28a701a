//! [`Place`]: what is registered in a scope. It takes 8 bytes in the scope itself, and nothing else until something is registered.

use std::cell::{OnceCell, RefCell};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio_base::shim::Arc;
use asyncio_base::{budget, report};
use asyncio_timers::{Sleep, sleep};

use super::below::{Below, Held, Tie};
use super::closer::{Batch, Closer};
use super::current::Frame;

/// Holds are not looked at more often, however short the time for clean-up is.
const CHECK_MIN: Duration = Duration::from_secs(1);

/// So often in a row what closers register is looked for.
const ROUNDS_MAX: usize = 100;

#[derive(Default)]
pub(crate) struct Place {
    /// Dropped by hand: the compiler would call a function to find an empty `Option<Box<_>>` empty, and most are.
    registered: ManuallyDrop<OnceCell<Parked>>,
}

/// What is registered, while its scope is somewhere else. Only the thread that polls the scope or drops it comes here, one after another.
pub(crate) type Parked = Box<RefCell<Registered>>;

impl Drop for Place {
    #[inline]
    fn drop(&mut self) {
        if self.registered.get().is_some() {
            forget(&mut self.registered);
        }
    }
}

#[cold]
#[inline(never)]
fn forget(registered: &mut OnceCell<Parked>) {
    drop(registered.take());
}

/// What few scopes have. Only what is `Send`.
#[derive(Default)]
pub(crate) struct Registered {
    /// Closers for the end of the scope.
    deferred: Vec<Closer>,
    /// Closers to be started.
    queued: Vec<Closer>,
    /// Closers that have begun, and come from scopes that were dropped.
    handed_over: Vec<Batch>,
    /// Closers that run.
    running: Vec<Batch>,
    /// The scopes inside.
    below: Option<Arc<Below>>,
    /// How the scope is tied to the one around it.
    tie: Option<Tie>,
    grace: Option<Grace>,
    /// When it is looked whether those who hold are still polled.
    check: Option<Sleep>,
}

/// The time that clean-up has left.
struct Grace {
    sleep: Sleep,
    duration: Duration,
}

impl Registered {
    /// Says whether no closer runs, or is to be started.
    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.queued.is_empty() && self.handed_over.is_empty()
    }
}

impl Place {
    #[inline]
    pub(crate) fn with(registered: Option<Parked>) -> Self {
        Self { registered: ManuallyDrop::new(registered.map_or_else(OnceCell::new, OnceCell::from)) }
    }

    #[inline]
    pub(crate) fn take(&mut self) -> Option<Parked> {
        self.registered.take()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.registered.get().is_none()
    }

    /// No code of a user's runs in `f`.
    fn edit<R>(&self, f: impl FnOnce(&mut Registered) -> R) -> R {
        f(&mut self.registered.get_or_init(Parked::default).borrow_mut())
    }

    /// The same, where there is nothing to be done if nothing is registered.
    fn edit_if_any<R: Default>(&self, f: impl FnOnce(&mut Registered) -> R) -> R {
        self.registered.get().map(|registered| f(&mut registered.borrow_mut())).unwrap_or_default()
    }

    /// Has a closer started now, beside the body.
    pub(crate) fn start(&self, closer: Closer) {
        self.edit(|registered| registered.queued.push(closer));
    }

    /// Has a closer started when the body has ended.
    pub(crate) fn defer(&self, closer: Closer) {
        self.edit(|registered| registered.deferred.push(closer));
    }

    /// Takes over the clean-up of a scope that was dropped. What has not begun is queued with what is queued here (S3).
    pub(crate) fn adopt(&self, batches: Vec<Batch>) {
        self.edit(|registered| {
            for batch in batches {
                match batch.into_closers() {
                    Ok(closers) => registered.queued.extend(closers),
                    Err(batch) => registered.handed_over.push(batch),
                }
            }
        });
    }

    pub(crate) fn below(&self) -> Arc<Below> {
        self.edit(|registered| registered.below.get_or_insert_default().clone())
    }

    fn below_if_any(&self) -> Option<Arc<Below>> {
        self.edit_if_any(|registered| registered.below.clone())
    }

    /// Wakes the scopes inside that would not be polled otherwise, because this one is cancelled.
    #[inline]
    pub(crate) fn cancel_below(&self) {
        if self.is_empty() {
            return;
        }
        if let Some(below) = self.below_if_any() {
            below.cancel();
        }
    }

    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        !self.is_empty() && self.below_if_any().is_some_and(|below| below.is_held())
    }

    /// Says whether closers run.
    pub(crate) fn is_closing(&self) -> bool {
        self.edit_if_any(|registered| !registered.is_idle())
    }

    /// Says whether the scope must not be dropped, for what is in it.
    #[inline]
    pub(crate) fn is_holding(&self) -> bool {
        !self.is_empty() && (self.is_closing() || self.is_held())
    }

    /// Ties a scope that waits to the one around it, as far as that is needed.
    #[inline]
    pub(crate) fn tie(&self, outer: Option<&Frame<'_>>, waker: &Waker, is_held: bool) {
        let outer = outer.filter(|outer| !outer.is_clean_up());
        let is_holding = is_held || self.is_holding();
        // Whoever wakes the scope around then polls this one, too (B1).
        let is_same = outer
            .is_none_or(|outer| outer.polls_all() || outer.waker.is_some_and(|outer| outer.will_wake(waker)));
        match outer {
            Some(outer) if is_holding || !is_same => self.tie_to(outer, waker, is_same, is_holding),
            _ if self.is_empty() => {}
            _ => self.untie(),
        }
    }

    /// Says whether there is nothing to do for what is registered in a scope that waits and is not cancelled: no closer runs, and it is tied as it must
    /// be. So it is with one that waits for its children, again and again.
    #[inline]
    pub(crate) fn is_at_rest(&self, outer: Option<&Frame<'_>>, waker: &Waker, holds: bool) -> bool {
        let outer = outer.filter(|outer| !outer.is_clean_up());
        let is_same = outer.is_none_or(|outer| outer.waker.is_some_and(|outer| outer.will_wake(waker)));
        if !is_same || outer.is_some_and(|outer| !holds || outer.is_cancelled()) {
            return false;
        }
        let below = outer.map(|outer| {
            outer.place.edit_if_any(|outer| outer.below.as_ref().map(Arc::as_ptr)).unwrap_or(std::ptr::null())
        });
        self.edit_if_any(|registered| {
            registered.is_idle()
                && match (&registered.tie, below) {
                    (None, None) => true,
                    (Some(tie), Some(below)) => tie.is_quiet_to(below),
                    _ => false,
                }
        })
    }

    #[cold]
    fn tie_to(&self, outer: &Frame<'_>, waker: &Waker, is_same: bool, is_holding: bool) {
        let below = outer.place.below();
        // Outside of the borrow: wakers are cloned and dropped.
        let former = self.edit(|registered| registered.tie.take());
        let mut tie = former.filter(|tie| tie.is_to(&below)).unwrap_or_else(|| Tie::to(below));
        tie.update((!is_same).then_some(waker), is_holding, outer.is_cancelled());
        self.edit(|registered| registered.tie = Some(tie));
    }

    /// Releases the scope around.
    #[cold]
    pub(crate) fn untie(&self) {
        let tie = self.edit_if_any(|registered| registered.tie.take());
        drop(tie);
    }

    /// Runs the closers that are to run: those of guards that were dropped, and those for the end if the body has ended.
    pub(crate) fn poll_closers(&self, has_body_ended: bool, cx: &mut Context<'_>) {
        // A closer that registers another one, without end, does not keep the thread.
        for _ in 0..ROUNDS_MAX {
            let mut running = self.take_running(has_body_ended);
            if running.is_empty() {
                return;
            }
            running.retain_mut(|batch| batch.poll(cx).is_pending());
            let is_there_more = self.edit(|registered| {
                registered.running.append(&mut running);
                let deferred = has_body_ended && !registered.deferred.is_empty();
                deferred || !registered.queued.is_empty() || !registered.handed_over.is_empty()
            });
            if !is_there_more {
                return;
            }
        }
        cx.waker().wake_by_ref();
    }

    fn take_running(&self, has_body_ended: bool) -> Vec<Batch> {
        self.edit_if_any(|registered| {
            let mut closers = std::mem::take(&mut registered.queued);
            if has_body_ended {
                closers.append(&mut registered.deferred);
            }
            let mut running = std::mem::take(&mut registered.running);
            running.append(&mut registered.handed_over);
            if !closers.is_empty() {
                running.push(Batch::of(closers));
            }
            running
        })
    }

    /// Takes out what is to be run by somebody else, since the scope is dropped.
    pub(crate) fn take_all(&self) -> Vec<Batch> {
        self.take_running(true)
    }

    /// Waits for the end of the time that clean-up has, from the first call on. Says whether it is over.
    pub(crate) fn poll_grace(&self, duration: Duration, cx: &mut Context<'_>) -> bool {
        // Outside of the borrow: the clock and the timers may be a user's.
        let grace = self.edit(|registered| registered.grace.take());
        let mut grace = grace.unwrap_or_else(|| Grace { sleep: sleep(duration), duration });
        let poll: Poll<()> = budget::unlimited(|| Pin::new(&mut grace.sleep).poll(cx));
        self.edit(|registered| registered.grace = Some(grace));
        poll.is_ready()
    }

    /// The time of what comes next begins anew.
    pub(crate) fn forget_grace(&self) {
        if !self.is_empty() {
            let timers = self.edit(|registered| (registered.grace.take(), registered.check.take()));
            drop(timers);
        }
    }

    /// Those who hold were polled in the last poll of the body. Has it polled again in a while, to see whether they still are (B3).
    pub(crate) fn check_later(&self, after: Duration, cx: &mut Context<'_>) {
        let after = after.max(CHECK_MIN);
        let (grace, check) = self.edit(|registered| (registered.grace.take(), registered.check.take()));
        drop(grace);
        let mut check = check.unwrap_or_else(|| sleep(after));
        let is_over = budget::unlimited(|| Pin::new(&mut check).poll(cx)).is_ready();
        if is_over {
            check = sleep(after);
            let _ = budget::unlimited(|| Pin::new(&mut check).poll(cx));
            if let Some(below) = self.below_if_any() {
                below.check();
            }
            // This one's body, too.
            cx.waker().wake_by_ref();
        }
        self.edit(|registered| registered.check = Some(check));
    }

    /// The body is polled, and is not cancelled.
    #[cold]
    pub(crate) fn revive(&self) {
        if let Some(below) = self.below_if_any() {
            below.revive();
        }
    }

    /// The scope has ended.
    pub(crate) fn end(&self) {
        self.untie();
        // Taken out: who is leaked inside holds it no more.
        if let Some(below) = self.edit_if_any(|registered| registered.below.take()) {
            below.end();
        }
    }

    /// Has `waker` woken when nobody inside holds the scope any more, and says whether somebody does.
    pub(crate) fn wait_for_holds(&self, waker: &Waker) -> Held {
        self.below_if_any().map_or(Held::Not, |below| below.wait(waker))
    }

    /// Tells of a hold that ends here.
    pub(crate) fn report_leak(&self, grace: Duration) {
        report::report(
            "tasks",
            format_args!(
                "a cancelled scope was held for {grace:?} by a scope inside of it that is not polled any more: it is dropped"
            ),
        );
    }

    /// Ends all clean-up where it stands, since its time is over; what that queues, too.
    pub(crate) fn cut(&self) {
        let duration = self.edit_if_any(|registered| registered.grace.as_ref().map(|grace| grace.duration));
        let why = match duration {
            Some(duration) => format!("was cut off after {duration:?}"),
            None => String::from("was cut off"),
        };
        // Each round drops what ran; a closer that registers another one in its own drop, without end, is not followed for ever.
        for _ in 0..ROUNDS_MAX {
            let batches = self.take_all();
            if batches.is_empty() {
                return;
            }
            batches.into_iter().for_each(|batch| batch.cut(&why));
        }
        report::report(
            "tasks",
            format_args!("clean-up that was cut off registered more of it, again and again"),
        );
    }
}
