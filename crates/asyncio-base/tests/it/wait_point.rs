//! Laws 1 and 4 of wait points.

use asyncio_base::wait_point::{self, Recorder};
use std::cell::RefCell;
use std::rc::Rc;

type Seen = Rc<RefCell<Vec<&'static str>>>;

fn recorder(seen: &Seen) -> Recorder {
    let seen = seen.clone();
    Rc::new(move |point| seen.borrow_mut().push(point.operation))
}

#[test]
fn recordings_overlap_and_end_in_any_order() {
    let (one, two) = (Seen::default(), Seen::default());
    let of_one = wait_point::record(recorder(&one));
    wait_point::here("first");
    let of_two = wait_point::record(recorder(&two));
    wait_point::here("second");
    drop(of_one);
    assert!(wait_point::is_recording());
    wait_point::here("third");
    drop(of_two);
    assert!(!wait_point::is_recording());
    wait_point::here("nobody asks");
    assert_eq!((&*one.borrow(), &*two.borrow()), (&vec!["first", "second"], &vec!["second", "third"]));
}

#[test]
fn a_recording_is_its_threads_own() {
    let seen = Seen::default();
    let recording = wait_point::record(recorder(&seen));
    std::thread::spawn(|| {
        assert!(!wait_point::is_recording());
        wait_point::here("elsewhere");
    })
    .join()
    .unwrap();
    drop(recording);
    assert!(seen.borrow().is_empty());
}

#[test]
fn a_recorder_that_panics_is_passed_over() {
    let seen = Seen::default();
    let _one = wait_point::record(Rc::new(|_| panic!("a recorder")));
    let _two = wait_point::record(recorder(&seen));
    wait_point::here("sleep");
    assert_eq!(*seen.borrow(), ["sleep"]);
}
