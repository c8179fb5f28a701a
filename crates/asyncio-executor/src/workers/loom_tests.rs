//! Loom models of what several workers do at once: stealing against taking, pushing against sleeping, the last searcher, closing.
//!
//! An item counts when it is dropped; each model ends when all items it made have been, and a summons that is lost leaves a worker parked for
//! ever, which loom reports.

use std::task::{Wake, Waker};

use asyncio_base::shim::{Arc, AtomicU32, Ordering, thread};
use loom::model;
use loom::sync::Notify;

use super::*;

/// Counts its drops.
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Item = ring::tests::Item<Counted>;

struct Park(Notify);

impl Wake for Park {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// A worker without a queue of its own: it runs what it has by dropping it.
struct Worker {
    member: Member<Item>,
    park: Arc<Park>,
}

impl Worker {
    fn new(shared: &Arc<Shared<Item>>, index: usize) -> Self {
        let park = Arc::new(Park(Notify::new()));
        let unpark = Waker::from(park.clone());
        let seat = &shared.seats()[index];
        let spawner = Spawner::new(Arc::new(Queue::new(Waker::noop().clone(), None)));
        let own = seat.occupy(unpark, spawner).expect("nobody sits there");
        Self { member: Member::new(shared, seat, own), park }
    }

    fn run(&mut self, mut tokens: usize) {
        while tokens > 0 {
            drop(self.member.take_next());
            tokens -= 1;
        }
        if let FromHot::Run(item) = self.member.take_hot(false) {
            drop(item);
        }
    }

    fn after(&mut self, found: Found) {
        if found.needs_help {
            self.member.shared().summon(self.member.seat().index());
        }
        self.run(found.count);
    }

    /// Looks for work until it has found some, runs that, and is held up from then on. It gives up when so many items have been dropped; if it
    /// drops the last one it tells the other.
    fn work_once(&mut self, drops: &AtomicU32, all: u32, other: &Park) {
        while drops.load(Ordering::Acquire) < all {
            let mut found = self.member.find_or_sleep();
            if found.count == 0 {
                self.park.0.wait();
                found = self.member.rise();
            }
            let has_found = found.count > 0;
            self.after(found);
            if has_found {
                break;
            }
        }
        // Only then: it is to be found out whether somebody else does.
        if drops.load(Ordering::Acquire) >= all {
            other.0.notify();
        }
    }

    /// Works until so many items have been dropped. Whoever drops the last one leaves the others asleep, and so tells them.
    fn work(&mut self, drops: &AtomicU32, all: u32, others: &[Arc<Park>]) {
        loop {
            let injected = self.member.take_injected();
            self.run(injected);
            if drops.load(Ordering::Acquire) >= all {
                others.iter().for_each(|park| park.0.notify());
                return;
            }
            let found = self.member.find_or_sleep();
            if found.count > 0 {
                self.after(found);
                continue;
            }
            self.park.0.wait();
            let found = self.member.rise();
            self.after(found);
        }
    }
}

fn items(drops: &Arc<AtomicU32>) -> impl FnMut() -> Item + use<> {
    let drops = drops.clone();
    move || ring::tests::Item(Box::new(Counted(drops.clone())))
}

/// R2, R3: the owner takes, pushes and grows while another one steals; each item is dropped once.
#[test]
fn steal_against_take_and_growth() {
    model(|| {
        let drops = Arc::new(AtomicU32::new(0));
        let mut item = items(&drops);
        let (mut own, stealer) = ring::new::<Item>();
        own.push(item());
        own.push(item());
        let thief = thread::spawn(move || stealer.steal(drop));
        // The ring has room for two.
        own.push(item());
        for index in 0..3 {
            drop(own.take(index));
        }
        let stolen = thief.join().unwrap();
        assert!(stolen <= 2);
        drop(own);
        assert_eq!(drops.load(Ordering::Relaxed), 3);
    });
}

/// Two thieves and an owner.
#[test]
fn two_thieves() {
    model(|| {
        let drops = Arc::new(AtomicU32::new(0));
        let mut item = items(&drops);
        let (mut own, stealer) = ring::new::<Item>();
        own.push(item());
        own.push(item());
        let stealer = Arc::new(stealer);
        let thieves = [0, 1].map(|_| {
            let stealer = stealer.clone();
            thread::spawn(move || stealer.steal(drop))
        });
        drop(own.take(0));
        for thief in thieves {
            thief.join().unwrap();
        }
        drop(own.take(1));
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    });
}

/// I1 to I3: whoever injects reads that somebody searches, or summons; the worker sleeps only if nothing is there.
#[test]
fn injection_against_sleep() {
    model(|| {
        let shared = Shared::new(1);
        let drops = Arc::new(AtomicU32::new(0));
        let mut item = items(&drops);
        let mut worker = Worker::new(&shared, 0);
        let injector = thread::spawn({
            let shared = shared.clone();
            move || shared.inject(item())
        });
        worker.work(&drops, 1, &[]);
        injector.join().unwrap();
    });
}

/// I3: a worker rises by itself while it is about to be summoned. Whoever summons counts as a searcher for a moment, and not for ever.
#[test]
fn summons_against_rising() {
    model(|| {
        let shared = Shared::new(1);
        let drops = Arc::new(AtomicU32::new(0));
        let mut item = items(&drops);
        let mut worker = Worker::new(&shared, 0);
        let injector = thread::spawn({
            let shared = shared.clone();
            move || (0..2).for_each(|_| shared.inject(item()))
        });
        let found = worker.member.find_or_sleep();
        worker.after(found);
        // Something of its own has happened.
        let found = worker.member.rise();
        worker.after(found);
        worker.work(&drops, 2, &[]);
        injector.join().unwrap();
    });
}

/// I3 to I5: a worker pushes two items and is held up; the other one, whatever it was about to do, gets both.
#[test]
fn push_against_a_searcher_that_gives_up() {
    model(|| {
        let shared = Shared::new(2);
        let drops = Arc::new(AtomicU32::new(0));
        let mut item = items(&drops);
        let mut held_up = Worker::new(&shared, 0);
        let mut helper = Worker::new(&shared, 1);
        let count = drops.clone();
        let thread = thread::spawn(move || {
            helper.work(&count, 2, &[]);
            helper
        });
        for _ in 0..2 {
            held_up.member.push(item());
            held_up.member.shared().after_push(0);
        }
        let helper = thread.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 2);
        drop((held_up, helper));
    });
}

/// Two workers on their way to sleep, and two items from outside: both are run, whoever comes.
#[test]
fn the_last_searcher_looks_once_more() {
    model(|| {
        let shared = Shared::new(2);
        let drops = Arc::new(AtomicU32::new(0));
        let mut item = items(&drops);
        let mut here = Worker::new(&shared, 0);
        let mut there = Worker::new(&shared, 1);
        let (park_here, park_there) = (here.park.clone(), there.park.clone());
        let count = drops.clone();
        let thread = thread::spawn(move || {
            there.work(&count, 1, &[park_here]);
        });
        shared.inject(item());
        here.work(&drops, 1, &[park_there]);
        thread.join().unwrap();
    });
}

/// I2: of two searchers one stops without having found anything, and is not the last; the last one finds something, and is held up with it. What
/// is pushed then, by somebody who is held up too, is for the first to do. (6 s at two preemptions.)
#[test]
fn one_who_stops_searching_before_the_last_one_can_be_summoned() {
    model(|| {
        // Two of four may search at the same time.
        let shared = Shared::new(4);
        let drops = Arc::new(AtomicU32::new(0));
        let mut item = items(&drops);
        let mut pusher = Worker::new(&shared, 0);
        let mut works = Worker::new(&shared, 1);
        let mut once = Worker::new(&shared, 2);
        let (park, park_works) = (once.park.clone(), works.park.clone());
        let counts = [drops.clone(), drops.clone()];
        let [count, count_once] = counts;
        let working = thread::spawn(move || works.work(&count, 2, &[park]));
        let held_up = thread::spawn(move || {
            once.work_once(&count_once, 2, &park_works);
            once
        });
        for _ in 0..2 {
            pusher.member.push(item());
            pusher.member.shared().after_push(0);
        }
        working.join().unwrap();
        drop(held_up.join().unwrap());
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    });
}

/// S2: a push and closing at the same time: the item is dropped by one of the two, from whichever place it was in.
#[test]
fn close_against_push() {
    for place in ["ring", "hot", "injected"] {
        model(move || {
            let shared = Shared::new(1);
            let drops = Arc::new(AtomicU32::new(0));
            let mut item = items(&drops);
            let mut worker = Worker::new(&shared, 0);
            let pusher = thread::spawn(move || {
                match place {
                    "ring" => {
                        worker.member.push(item());
                        worker.member.shared().after_push(0);
                    }
                    "hot" => {
                        assert!(!worker.member.push_hot(item()));
                        // It comes to it at the end of the poll, and looks.
                        drop(worker.member.take_hot(false));
                    }
                    _ => worker.member.shared().inject(item()),
                }
            });
            shared.close();
            pusher.join().unwrap();
            assert_eq!(drops.load(Ordering::Relaxed), 1);
        });
    }
}

/// A worker that stands up while another one searches leaves nothing behind.
#[test]
fn standing_up_against_stealing() {
    model(|| {
        let shared = Shared::new(2);
        let drops = Arc::new(AtomicU32::new(0));
        let mut item = items(&drops);
        let mut leaver = Worker::new(&shared, 0);
        let mut stayer = Worker::new(&shared, 1);
        leaver.member.push(item());
        assert!(!leaver.member.push_hot(item()));
        let leaving = thread::spawn(move || drop(leaver));
        stayer.work(&drops, 2, &[]);
        leaving.join().unwrap();
    });
}
