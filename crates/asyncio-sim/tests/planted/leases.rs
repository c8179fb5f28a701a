//! Bugs with leases: two that lead at once, and a clock that is trusted.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio_base::random;
use asyncio_sim::{Builder, FailureKind, Faults, Sim};
use asyncio_timers::{now, sleep};

use crate::Planted;
use crate::scene::{Caller, Words, bounded, millis, report, serve};

const LOCKS: &str = "10.0.0.1:80";
const MONITOR: &str = "10.0.0.1:514";
const STORE: &str = "10.0.0.2:80";

const YES: u64 = 1;
const NO: u64 = 0;

// 5. Two lead at once.

pub(crate) const SPLIT_BRAIN: Planted = Planted {
    name: "split_brain",
    seeds: 30,
    kinds: &[FailureKind::Panic],
    says: "one that leads no more has written",
    scenario: split_brain,
};

const ACQUIRE: u64 = 1;
const RELEASE: u64 = 2;

/// How long a node leads, unless it asks again.
const TERM: Duration = Duration::from_secs(1);

/// Says who leads: one node, for a term; each term has a number of its own.
fn lock_server() -> impl FnMut(Words) -> Option<Words> {
    let (mut epoch, mut holder) = (0_u64, 0_u64);
    let mut until: Option<Instant> = None;
    move |[verb, node, of]: Words| {
        let is_free = until.is_none_or(|until| until <= now());
        match verb {
            ACQUIRE if is_free || holder == node => {
                epoch += 1;
                (holder, until) = (node, Some(now() + TERM));
                Some([YES, epoch, 0])
            }
            RELEASE if holder == node && epoch == of => {
                until = None;
                Some([YES, epoch, 0])
            }
            _ => Some([NO, 0, 0]),
        }
    }
}

/// Who wrote, and in which term, in order.
type Written = Rc<RefCell<Vec<(u64, u64)>>>;

/// Takes what a leader writes. Once there was a later term, an earlier one is refused, unless it is buggy.
fn store(written: Written, is_buggy: bool) -> impl FnMut(Words) -> Option<Words> {
    let mut fence = 0_u64;
    move |[node, epoch, _]: Words| {
        if !is_buggy && epoch < fence {
            return Some([NO, 0, 0]);
        }
        fence = fence.max(epoch);
        let mut written = written.borrow_mut();
        if let Some(&(before, by)) = written.last() {
            let is_in_order = before < epoch || before == epoch && by == node;
            assert!(is_in_order, "one that leads no more has written");
        }
        written.push((epoch, node));
        Some([YES, 0, 0])
    }
}

/// Writes a little while it leads. Gives how much is left to be written.
async fn lead(store: &Caller, me: u64, epoch: u64, until: Instant, mut left: u64, is_buggy: bool) -> u64 {
    for _ in 0..left.min(5) {
        loop {
            if !is_buggy && now() >= until {
                return left;
            }
            match store.ask([me, epoch, 0], millis(300)).await {
                Some([YES, ..]) => break,
                Some(_) => return left,
                // The question may be lost, or the answer: twice is as good as once.
                None => {}
            }
        }
        left -= 1;
        sleep(millis(100)).await;
    }
    left
}

async fn node(me: u64, is_buggy: bool) -> io::Result<()> {
    report(MONITOR, 1000, millis(10));
    let (locks, store) = (Caller::new(LOCKS).await?, Caller::new(STORE).await?);
    sleep(millis(random::below(1000))).await;
    let mut left = 1 + random::below(60);
    while left > 0 {
        let asked_at = now();
        let Some([YES, epoch, _]) = locks.ask([ACQUIRE, me, 0], millis(300)).await else {
            sleep(millis(300 + random::below(200))).await;
            continue;
        };
        left = lead(&store, me, epoch, asked_at + TERM, left, is_buggy).await;
        // If that is lost, the term ends by itself.
        let _ = locks.ask([RELEASE, me, epoch], millis(300)).await;
        sleep(millis(50 + random::below(100))).await;
    }
    Ok(())
}

fn split_brain(builder: Builder, is_buggy: bool) -> Sim {
    let faults = Faults {
        loss: true,
        partitions: true,
        pauses: true,
        interval: Duration::from_secs(2),
        ..Faults::none()
    };
    let sim = bounded(builder).faults(faults).build();
    let written = Written::default();
    sim.host("locks", "10.0.0.1", || serve(lock_server()));
    sim.host("store", "10.0.0.2", move || serve(store(written.clone(), is_buggy)));
    sim.client("one", "10.0.0.3", move || node(1, is_buggy));
    sim.client("two", "10.0.0.4", move || node(2, is_buggy));
    sim
}

// 12. A clock is trusted.

pub(crate) const TRUSTED_CLOCK: Planted = Planted {
    name: "trusted_clock",
    seeds: 30,
    kinds: &[FailureKind::Panic],
    says: "it acts, and the lease is another's",
    scenario: trusted_clock,
};

const LEASE: Duration = Duration::from_secs(10);

/// Who has got the lease last.
type Granted = Rc<Cell<u64>>;

/// Lends something to one node at a time, by the server's own clock. Whoever does not get it is told when to
/// ask again.
fn lender(granted: Granted) -> impl FnMut(Words) -> Option<Words> {
    let mut until: Option<Instant> = None;
    move |[node, ..]: Words| {
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now()));
        if left > Duration::ZERO && granted.get() != node {
            return Some([NO, left.as_millis() as u64 + 1, 0]);
        }
        granted.set(node);
        until = Some(now() + LEASE);
        Some([YES, 0, 0])
    }
}

/// Waits for the lease. Gives when it began, and how long it lasts, by this node's clock.
async fn borrow(caller: &Caller, me: u64, is_buggy: bool) -> (Instant, Duration) {
    loop {
        let asked_at = now();
        match caller.ask([me, 0, 0], Duration::from_secs(1)).await {
            // As if all clocks went alike, and an answer took no time.
            Some([YES, ..]) if is_buggy => return (now(), LEASE),
            // Clocks that differ by less than a tenth do no harm.
            Some([YES, ..]) => return (asked_at, LEASE * 9 / 10),
            Some([_, wait, _]) => sleep(millis(wait)).await,
            None => sleep(millis(100)).await,
        }
    }
}

async fn borrower(me: u64, granted: Granted, is_buggy: bool) -> io::Result<()> {
    report(MONITOR, 800, millis(20));
    let caller = Caller::new(LOCKS).await?;
    for _ in 0..=random::below(4) {
        let (begin, lasts) = borrow(&caller, me, is_buggy).await;
        // Between the look at the clock and the deed it does not wait.
        while now().saturating_duration_since(begin) < lasts {
            assert_eq!(granted.get(), me, "it acts, and the lease is another's");
            sleep(millis(100 + random::below(900))).await;
        }
        sleep(LEASE / 2).await;
    }
    Ok(())
}

fn trusted_clock(builder: Builder, is_buggy: bool) -> Sim {
    let faults =
        Faults { drifts: true, slow_links: true, interval: Duration::from_secs(5), ..Faults::none() };
    let sim = bounded(builder).faults(faults).build();
    let granted = Granted::default();
    let of_server = granted.clone();
    sim.host("locks", "10.0.0.1", move || serve(lender(of_server.clone())));
    for (me, name, addr) in [(1, "one", "10.0.0.2"), (2, "two", "10.0.0.3")] {
        let granted = granted.clone();
        sim.client(name, addr, move || borrower(me, granted.clone(), is_buggy));
    }
    sim
}
