//! Laws 1 to 4 of the cooperative budget.

use asyncio_base::budget;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_refused_operation_has_woken_its_task() {
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    budget::with_budget(2, || {
        for _ in 0..2 {
            assert!(budget::poll_proceed(&mut cx).is_ready());
            budget::spend();
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert!(budget::poll_proceed(&mut cx).is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(budget::unlimited(|| budget::poll_proceed(&mut cx)).is_ready());
    });
}

#[test]
fn it_is_unlimited_outside_and_restored_after_a_panic() {
    assert_eq!(budget::remaining(), None);
    budget::with_budget(5, || {
        let panicked = catch_unwind(|| budget::with_budget(1, || panic!("inside")));
        assert!(panicked.is_err());
        assert_eq!(budget::remaining(), Some(5));
    });
    budget::spend();
    assert_eq!(budget::remaining(), None);
}

/// Law 4.
#[test]
fn an_operation_in_memory_costs_an_eighth() {
    let mut cx = Context::from_waker(Waker::noop());
    budget::with_budget(2, || {
        for step in 1..=16 {
            assert!(budget::poll_proceed(&mut cx).is_ready(), "before step {step}");
            budget::spend_steps(1);
        }
        assert!(budget::poll_proceed(&mut cx).is_pending());
    });
    budget::with_budget(1, || {
        budget::spend_steps(1);
        assert_eq!(budget::remaining(), Some(1), "a unit that is begun counts");
        budget::spend();
        assert_eq!(budget::remaining(), Some(0), "what costs more than is left may be done, and is the last");
    });
}

#[test]
fn the_largest_budget_is_one_and_a_larger_one_is_no_limit() {
    budget::with_budget(budget::MAX, || {
        assert_eq!(budget::remaining(), Some(budget::MAX));
        budget::spend();
        assert_eq!(budget::remaining(), Some(budget::MAX - 1));
    });
    for units in [budget::MAX + 1, u32::MAX / 2, u32::MAX] {
        budget::with_budget(units, || assert_eq!(budget::remaining(), None, "{units}"));
    }
}
