//! Laws 1 and 2 of `WakeList`.

use asyncio_base::WakeList;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

struct Numbered {
    number: usize,
    next: Arc<AtomicUsize>,
    panics: bool,
}

impl Wake for Numbered {
    fn wake(self: Arc<Self>) {
        assert_eq!(self.next.fetch_add(1, Ordering::Relaxed), self.number, "woken out of order");
        assert!(!self.panics, "waker {} panics", self.number);
    }
}

fn filled(panics_at: Option<usize>) -> (WakeList, Arc<AtomicUsize>) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut list = WakeList::new();
    for number in 0..WakeList::CAPACITY {
        let waker = Numbered { number, next: next.clone(), panics: panics_at == Some(number) };
        list.push(Waker::from(Arc::new(waker)));
    }
    (list, next)
}

#[test]
fn wakes_in_order_and_empties() {
    let (mut list, next) = filled(None);
    assert!(list.is_full());
    list.wake_all();
    assert!(list.is_empty());
    list.wake_all();
    assert_eq!(next.load(Ordering::Relaxed), WakeList::CAPACITY);
}

#[test]
fn a_panicking_waker_does_not_rob_the_others() {
    let (mut list, next) = filled(Some(3));
    let panic = catch_unwind(AssertUnwindSafe(|| list.wake_all())).unwrap_err();
    assert_eq!(asyncio_base::panic::message(&*panic), "waker 3 panics");
    assert_eq!(next.load(Ordering::Relaxed), WakeList::CAPACITY);
}

#[test]
fn dropping_it_drops_wakers_unwoken() {
    let (list, next) = filled(None);
    drop(list);
    assert_eq!(Arc::strong_count(&next), 1);
    assert_eq!(next.load(Ordering::Relaxed), 0);
}

#[test]
#[should_panic(expected = "wake it first")]
fn pushing_to_a_full_list_is_a_bug() {
    filled(None).0.push(Waker::noop().clone());
}
