//! What other threads do to a scope, in random orders: setting what it waits for, and releasing what holds it.

use std::task::{Wake, Waker};

use asyncio_base::shim::{Arc, thread};

use super::below::{Below, Held, Tie};
use super::signal::Signal;

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn here() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// A wake that is lost is a deadlock, which shuttle sees.
#[test]
fn a_signal_is_not_overheard() {
    shuttle::check_random(
        || {
            let signal = Arc::new(Signal::default());
            let other = signal.clone();
            let setter = thread::spawn(move || assert!(other.set()));
            let waker = here();
            while !signal.poll(&waker) {
                thread::park();
            }
            setter.join().unwrap();
        },
        10_000,
    );
}

#[test]
fn the_last_hold_wakes_the_scope() {
    shuttle::check_random(
        || {
            let below = Arc::new(Below::default());
            let ties = [true, false].map(|is_outer_cancelled| {
                let mut tie = Tie::to(below.clone());
                tie.update(None, true, is_outer_cancelled);
                tie
            });
            let droppers = ties.map(|tie| thread::spawn(move || drop(tie)));
            let waker = here();
            while below.wait(&waker) != Held::Not {
                thread::park();
            }
            droppers.into_iter().for_each(|dropper| dropper.join().unwrap());
        },
        10_000,
    );
}
