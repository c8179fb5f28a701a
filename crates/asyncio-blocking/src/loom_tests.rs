//! Loom models of the line: a call that is brought is taken, whoever sleeps, searches or runs meanwhile.

use std::time::Duration;

use asyncio_base::shim::{Arc, AtomicUsize, Mutex, Ordering, thread};
use loom::model;
use loom::sync::Notify;

use crate::line::{Attention, Line, Rest, Thread};

struct World {
    line: Line<usize>,
    /// How many calls are to be run, and have been.
    calls: usize,
    run: AtomicUsize,
    /// Of each that has been.
    is_run: Notify,
    /// How many can be started, and have been, or would have been.
    startable: usize,
    started: AtomicUsize,
    /// Those that were started: joined at the end, since the model knows nothing of who has a share of this.
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    /// How long a thread sleeps the first time: not at all, or for ever, as it does later.
    keep_alive: Duration,
}

impl World {
    fn new(threads_max: usize, calls: usize, keep_alive: Duration) -> Arc<Self> {
        Self::that(threads_max, usize::MAX, calls, keep_alive)
    }

    fn that(threads_max: usize, startable: usize, calls: usize, keep_alive: Duration) -> Arc<Self> {
        let (run, is_run, threads) = (AtomicUsize::new(0), Notify::new(), Mutex::new(Vec::new()));
        Arc::new(Self {
            line: Line::new(threads_max, None),
            calls,
            run,
            is_run,
            startable,
            started: AtomicUsize::new(0),
            threads,
            keep_alive,
        })
    }

    fn push(self: &Arc<Self>, call: usize) {
        let attention = self.line.push(call).unwrap_or_else(|_| panic!("it is open"));
        self.attend(attention);
    }

    fn attend(self: &Arc<Self>, attention: Attention) {
        if let Attention::Start = attention {
            // Relaxed: whether it may be is said before.
            if self.started.fetch_add(1, Ordering::Relaxed) >= self.startable {
                // It takes a while to find out.
                thread::yield_now();
                // All others have ended only after everything was run, and the line closed.
                assert!(!self.line.not_started() || self.line.pop().is_none());
                return;
            }
            let world = self.clone();
            let handle = thread::spawn(move || world.work());
            self.threads.lock().push(handle);
        }
    }

    fn work(self: Arc<Self>) {
        let (thread, mut searches, mut keep_alive) = (Thread::current(), true, self.keep_alive);
        loop {
            if self.line.pop().is_some() {
                if std::mem::take(&mut searches) {
                    self.attend(self.line.found());
                }
                self.run.fetch_add(1, Ordering::SeqCst);
                self.is_run.notify();
                continue;
            }
            match self.line.rest(&thread, searches, std::mem::replace(&mut keep_alive, Duration::MAX)) {
                Rest::Rises { searches: again } => searches = again,
                Rest::Ends => return,
            }
        }
    }

    fn wait_for(&self, calls: usize) {
        while self.run.load(Ordering::SeqCst) < calls {
            self.is_run.wait();
        }
    }

    /// Waits until all have been run: for ever, which the model notices, if one lies about while all sleep.
    fn finish(self: Arc<Self>) {
        self.wait_for(self.calls);
        self.line.close();
        loop {
            let next = self.threads.lock().pop();
            let Some(next) = next else { break };
            next.join().unwrap();
        }
    }
}

/// L1, L2: a call that is brought while the only thread goes to sleep.
#[test]
fn a_call_comes_while_the_only_thread_goes_to_sleep() {
    model(|| {
        let world = World::new(1, 2, Duration::MAX);
        world.push(0);
        world.push(1);
        world.finish();
    });
}

/// L3, L4: two bring calls at once, and one thread takes both.
#[test]
fn two_bring_calls_at_once() {
    model(|| {
        let world = World::new(1, 2, Duration::MAX);
        let other = {
            let world = world.clone();
            thread::spawn(move || world.push(0))
        };
        world.push(1);
        world.threads.lock().push(other);
        world.finish();
    });
}

/// L3: whoever takes a call summons the next one.
#[test]
fn two_threads_take_calls() {
    model(|| {
        let world = World::new(2, 2, Duration::MAX);
        world.push(0);
        world.push(1);
        world.finish();
    });
}

/// L6: a thread that has been idle for long is about to end just when a call comes.
#[test]
fn a_thread_ends_while_a_call_comes() {
    model(|| {
        let world = World::new(1, 3, Duration::ZERO);
        world.push(0);
        world.wait_for(1);
        world.push(1);
        // For as long as the thread has something to do.
        thread::yield_now();
        world.push(2);
        world.finish();
    });
}

/// L8: a thread cannot be started while another one goes to sleep, and somebody else brings a call.
#[test]
fn a_thread_that_cannot_be_started_hands_its_search_on() {
    model(|| {
        let world = World::that(2, 1, 3, Duration::MAX);
        world.push(0);
        let other = {
            let world = world.clone();
            thread::spawn(move || world.push(1))
        };
        world.push(2);
        world.threads.lock().push(other);
        world.finish();
    });
}

/// What is in line when it is closed is there for whoever closes, or a thread takes it.
#[test]
fn closing_leaves_no_call_behind() {
    model(|| {
        let world = World::new(1, 0, Duration::MAX);
        let pusher = {
            let world = world.clone();
            thread::spawn(move || match world.line.push(0) {
                Ok(attention) => {
                    world.attend(attention);
                    1
                }
                Err(_) => 0,
            })
        };
        world.line.close();
        let mut left = 0;
        while world.line.pop().is_some() {
            left += 1;
        }
        let pushed = pusher.join().unwrap();
        world.clone().finish();
        assert_eq!(left + world.run.load(Ordering::SeqCst), pushed);
    });
}
