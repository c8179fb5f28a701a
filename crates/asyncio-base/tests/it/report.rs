//! Laws 1 and 2 of reports, and the two panic guards.

use asyncio_base::{panic, report};
use std::cell::Cell;
use std::rc::Rc;

#[test]
fn a_panicking_handler_does_not_pass() {
    report::with_handler(Rc::new(|_| panic!("the handler itself")), || {
        report::report("base", format_args!("this line goes to stderr"));
    });
}

#[test]
fn handlers_nest_and_are_by_thread() {
    let outer = Rc::new(Cell::new(0));
    let inner = Rc::new(Cell::new(0));
    let count = |cell: &Rc<Cell<u32>>| {
        let cell = cell.clone();
        Rc::new(move |_: &report::Report<'_>| cell.set(cell.get() + 1)) as report::Handler
    };
    report::with_handler(count(&outer), || {
        report::with_handler(count(&inner), || report::report("base", format_args!("in")));
        report::report("base", format_args!("out"));
        std::thread::spawn(|| report::report("base", format_args!("elsewhere"))).join().unwrap();
    });
    assert_eq!((outer.get(), inner.get()), (1, 1));
}

#[test]
fn the_first_panic_is_kept() {
    let mut first = None;
    panic::catch_and_store(&mut first, || panic!("one"));
    panic::catch_and_store(&mut first, || panic!("two"));
    assert_eq!(panic::message(&*first.unwrap()), "one");
    assert_eq!(panic::message(&7_u8), "a panic whose payload is not a string");
}
