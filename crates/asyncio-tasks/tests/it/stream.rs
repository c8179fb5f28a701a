//! `stream!`.

use std::cell::RefCell;
use std::rc::Rc;

use asyncio_executor::block_on;
use asyncio_tasks::{stream, yield_now};
use futures::StreamExt;

#[test]
fn a_stream_gives_its_items_in_order_and_goes_on_where_it_was() {
    let log = &RefCell::new(Vec::new());
    block_on(async {
        let mut numbers = std::pin::pin!(stream! {
            for n in 0..3 {
                log.borrow_mut().push(format!("before {n}"));
                yield_now().await;
                yield n;
            }
            log.borrow_mut().push("end".into());
        });
        assert!(log.borrow().is_empty(), "nothing happens before it is polled");
        while let Some(n) = numbers.next().await {
            log.borrow_mut().push(format!("got {n}"));
        }
        assert_eq!(numbers.next().await, None);
    });
    assert_eq!(log.take(), ["before 0", "got 0", "before 1", "got 1", "before 2", "got 2", "end"]);
}

#[test]
fn a_stream_that_is_dropped_drops_what_it_has() {
    let kept = Rc::new(());
    block_on(async {
        let inside = kept.clone();
        let mut numbers = Box::pin(stream! {
            let _inside = inside;
            yield 1;
            yield 2;
        });
        assert_eq!(numbers.next().await, Some(1));
        assert_eq!(Rc::strong_count(&kept), 2);
        drop(numbers);
        assert_eq!(Rc::strong_count(&kept), 1);
    });
}
