//! Bugs between the tasks of one program: a lost wake, a lost permit, two locks in two orders.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use asyncio_base::random;
use asyncio_sim::{Builder, FailureKind, Faults, Sim};
use asyncio_sync::{Mutex, oneshot};
use asyncio_tasks::{spawn_local, timeout, yield_now};
use asyncio_timers::sleep;

use crate::Planted;
use crate::scene::{Caller, Words, bounded, heart, millis, report, serve};

// 1. A wake is lost.

pub(crate) const LOST_WAKE: Planted = Planted {
    name: "lost_wake",
    seeds: 20,
    kinds: &[FailureKind::Stall],
    says: "no deadline ends",
    scenario: lost_wake,
};

/// A queue with one reader, made by hand.
#[derive(Default)]
struct Inbox {
    jobs: RefCell<VecDeque<oneshot::Sender<()>>>,
    pushes: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Inbox {
    fn push(&self, job: oneshot::Sender<()>) {
        self.jobs.borrow_mut().push_back(job);
        self.pushes.set(self.pushes.get() + 1);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn pop(&self, is_buggy: bool) -> oneshot::Sender<()> {
        loop {
            let mut seen = self.pushes.get();
            let job = self.jobs.borrow_mut().pop_front();
            if let Some(job) = job {
                return job;
            }
            // Whoever has nothing to do lets others go first.
            yield_now().await;
            if is_buggy {
                // From here on it listens, and what came meanwhile it does not hear.
                seen = self.pushes.get();
            }
            self.pushed_since(seen).await;
        }
    }

    async fn pushed_since(&self, seen: u64) {
        poll_fn(|cx| {
            if self.pushes.get() != seen {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

async fn think() {
    sleep(Duration::from_micros(10 * random::below(128))).await;
}

async fn worker(inbox: Rc<Inbox>, is_buggy: bool) {
    loop {
        let done = inbox.pop(is_buggy).await;
        let _ = done.send(());
        // It tidies up.
        think().await;
    }
}

/// Gives the worker one job after the other.
async fn boss(is_buggy: bool) {
    heart();
    let inbox = Rc::new(Inbox::default());
    spawn_local(worker(inbox.clone(), is_buggy)).detach();
    for _ in 0..=random::below(1500) {
        think().await;
        let (done, is_done) = oneshot();
        inbox.push(done);
        is_done.await.unwrap();
    }
}

fn lost_wake(builder: Builder, is_buggy: bool) -> Sim {
    let sim = bounded(builder).build();
    sim.client("office", "10.0.0.1", move || boss(is_buggy));
    sim
}

// 2. A permit is lost.

pub(crate) const LOST_PERMIT: Planted = Planted {
    name: "lost_permit",
    seeds: 20,
    kinds: &[FailureKind::Stall],
    says: "no deadline ends",
    scenario: lost_permit,
};

const PERMITS: u32 = 3;

/// How many may ask the server at once, made by hand.
struct Pool {
    free: Cell<u32>,
    waiting: RefCell<Vec<Waker>>,
}

impl Pool {
    async fn take(&self) {
        poll_fn(|cx| match self.free.get().checked_sub(1) {
            Some(left) => {
                self.free.set(left);
                Poll::Ready(())
            }
            None => {
                self.waiting.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            }
        })
        .await;
    }

    fn put_back(&self) {
        self.free.set(self.free.get() + 1);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

/// Puts a permit back, however its holder ends.
struct PutBack<'a>(&'a Pool);

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        self.0.put_back();
    }
}

async fn query(pool: &Pool, number: u64, is_buggy: bool) -> io::Result<Words> {
    pool.take().await;
    let _permit = (!is_buggy).then(|| PutBack(pool));
    let caller = Caller::new("10.0.0.1:80").await?;
    let answer = caller.exchange([number, 0, 0]).await;
    if is_buggy {
        // Whoever is dropped while it waits does not come here.
        pool.put_back();
    }
    answer
}

async fn user(pool: Rc<Pool>, is_buggy: bool) {
    for number in 0..random::below(150) {
        for _ in 0..3 {
            if timeout(millis(100), query(&pool, number, is_buggy)).await.is_ok() {
                break;
            }
            sleep(millis(20 + random::below(80))).await;
        }
    }
}

/// Some users, and in the end the pool is emptied, as before a shutdown.
async fn users(is_buggy: bool) {
    heart();
    let pool = Rc::new(Pool { free: Cell::new(PERMITS), waiting: RefCell::default() });
    let users: Vec<_> = (0..4).map(|_| spawn_local(user(pool.clone(), is_buggy))).collect();
    for user in users {
        user.await.unwrap();
    }
    for _ in 0..PERMITS {
        pool.take().await;
    }
}

fn lost_permit(builder: Builder, is_buggy: bool) -> Sim {
    let faults = Faults {
        loss: true,
        slow_links: true,
        partitions: true,
        crashes: true,
        pauses: true,
        ..Faults::none()
    };
    let sim = bounded(builder).faults(faults).build();
    sim.host("server", "10.0.0.1", || serve(Some));
    sim.client("users", "10.0.0.2", move || users(is_buggy));
    sim
}

// 11. Two locks are taken in two orders.

pub(crate) const LOCKS_IN_TWO_ORDERS: Planted = Planted {
    name: "locks_in_two_orders",
    seeds: 30,
    kinds: &[FailureKind::LockCycle],
    says: "waits for a lock",
    scenario: locks_in_two_orders,
};

const ACCOUNTS: usize = 16;
const EACH: i64 = 100;

type Bank = Rc<Vec<Mutex<i64>>>;

/// Moves one from an account to another, which is another one.
async fn transfer(bank: &Bank, from: usize, to: usize, is_buggy: bool) {
    // Without the bug everybody begins with the lesser one.
    let (first, second) = if is_buggy { (from, to) } else { (from.min(to), from.max(to)) };
    let mut one = bank[first].lock().await;
    // The rate is looked up.
    sleep(Duration::from_micros(100)).await;
    let mut other = bank[second].lock().await;
    let amount = if first == from { 1 } else { -1 };
    *one -= amount;
    *other += amount;
}

async fn clerk(bank: Bank, is_buggy: bool) {
    for _ in 0..=random::below(400) {
        let from = random::below(ACCOUNTS as u64) as usize;
        let to = (from + 1 + random::below(ACCOUNTS as u64 - 1) as usize) % ACCOUNTS;
        transfer(&bank, from, to, is_buggy).await;
        sleep(Duration::from_micros(random::below(1000))).await;
    }
}

async fn bank_day(is_buggy: bool) {
    report("10.0.0.2:514", 200, millis(1));
    let bank: Bank = Rc::new((0..ACCOUNTS).map(|_| Mutex::new(EACH)).collect());
    let clerks: Vec<_> = (0..4).map(|_| spawn_local(clerk(bank.clone(), is_buggy))).collect();
    for clerk in clerks {
        clerk.await.unwrap();
    }
    let mut sum = 0;
    for account in bank.iter() {
        sum += *account.lock().await;
    }
    assert_eq!(sum, EACH * ACCOUNTS as i64, "nothing is made, and nothing gets lost");
}

fn locks_in_two_orders(builder: Builder, is_buggy: bool) -> Sim {
    let sim = bounded(builder).build();
    sim.client("bank", "10.0.0.1", move || bank_day(is_buggy));
    sim.host("monitor", "10.0.0.2", || serve(Some));
    sim
}
