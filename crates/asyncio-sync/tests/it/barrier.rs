//! `Barrier`: all or nobody, again and again; reset and abort.

use asyncio_sync::{Barrier, BrokenBarrier};

use crate::support::{Hand, block_on, once, threads};

#[test]
fn nobody_goes_on_before_all_have_come_and_each_has_a_number() {
    let barrier = Barrier::new(3);
    for _ in 0..3 {
        let mut waiting = [Hand::waiting(barrier.wait()), Hand::waiting(barrier.wait())];
        assert_eq!(barrier.waiting(), 2);
        assert_eq!(once(barrier.wait()), Some(Ok(2)));
        assert_eq!(waiting.each_mut().map(Hand::woken), [Ok(0), Ok(1)]);
        assert_eq!(barrier.waiting(), 0);
    }
}

#[test]
fn one_who_goes_has_not_come() {
    let barrier = Barrier::new(3);
    let going = Hand::waiting(barrier.wait());
    let mut staying = Hand::waiting(barrier.wait());
    drop(going);
    let mut second = Hand::waiting(barrier.wait());
    assert_eq!(once(barrier.wait()), Some(Ok(2)));
    assert_eq!((staying.woken(), second.woken()), (Ok(0), Ok(1)));
}

#[test]
fn one_who_goes_after_all_were_let_through_takes_nobody_along() {
    let barrier = Barrier::new(2);
    let going = Hand::waiting(barrier.wait());
    assert_eq!(once(barrier.wait()), Some(Ok(1)));
    let mut next = Hand::waiting(barrier.wait());
    drop(going);
    assert_eq!(barrier.waiting(), 1, "he belonged to those before");
    assert_eq!(once(barrier.wait()), Some(Ok(1)));
    assert_eq!(next.woken(), Ok(0));
}

#[test]
fn a_reset_sends_away_who_waits_and_an_abort_also_who_comes() {
    let barrier = Barrier::new(2);
    let mut waiting = Hand::waiting(barrier.wait());
    barrier.reset();
    assert_eq!(waiting.woken(), Err(BrokenBarrier));
    let mut waiting = Hand::waiting(barrier.wait());
    barrier.abort();
    assert_eq!(waiting.woken(), Err(BrokenBarrier));
    assert_eq!(once(barrier.wait()), Some(Err(BrokenBarrier)));
    assert!(barrier.is_broken());
    barrier.reset();
    let mut waiting = Hand::waiting(barrier.wait());
    assert_eq!(once(barrier.wait()), Some(Ok(1)));
    assert_eq!(waiting.woken(), Ok(0));
}

#[test]
fn those_who_were_let_through_are_not_sent_away_by_an_abort() {
    let barrier = Barrier::new(2);
    let mut waiting = Hand::waiting(barrier.wait());
    assert_eq!(once(barrier.wait()), Some(Ok(1)));
    barrier.abort();
    assert_eq!(waiting.ready(), Ok(0));
}

#[test]
#[should_panic = "at least one party"]
fn a_barrier_for_nobody_is_refused() {
    let _ = Barrier::new(0);
}

#[test]
fn threads_keep_in_step() {
    let (barrier, round) = (Barrier::new(3), std::sync::atomic::AtomicUsize::new(0));
    threads(3, |n| {
        for k in 0..1_000 {
            assert_eq!(round.load(std::sync::atomic::Ordering::SeqCst), k);
            let index = if n == 0 { barrier.wait_blocking() } else { block_on(barrier.wait()) };
            if index == Ok(0) {
                round.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            block_on(barrier.wait()).unwrap();
        }
    });
}
