//! Callbacks of descriptors.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use asyncio_runtime::Runner;

use crate::worlds::runners;

fn run_until_idle(runner: &mut Runner) {
    for _ in 0..10 {
        runner.turn(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn a_reader_is_called_by_level_until_it_is_cancelled() {
    for mut runner in runners() {
        let (one, mut other) = UnixStream::pair().unwrap();
        let one = Arc::new(one);
        let calls = Rc::new(Cell::new(0));
        let (count, source) = (calls.clone(), one.clone());
        let reader = runner
            .event_loop()
            .add_reader(one.clone(), move || {
                count.set(count.get() + 1);
                // One byte of three at a time: what is left makes it ready again.
                (&*source).read_exact(&mut [0]).unwrap();
            })
            .unwrap();
        run_until_idle(&mut runner);
        assert_eq!(calls.get(), 0);
        other.write_all(b"abc").unwrap();
        run_until_idle(&mut runner);
        assert_eq!(calls.get(), 3);
        reader.cancel();
        assert!(reader.is_cancelled());
        other.write_all(b"d").unwrap();
        run_until_idle(&mut runner);
        assert_eq!(calls.get(), 3);
        assert_eq!(Arc::strong_count(&one), 1, "the loop has given it back");
    }
}

#[test]
fn a_reader_that_panics_is_called_again_and_a_writer_waits_for_room() {
    let mut runner = Runner::builder().on_unhandled(|event| assert!(event.is_panic())).build().unwrap();
    let (one, mut other) = UnixStream::pair().unwrap();
    let one = Arc::new(one);
    let calls = Rc::new(Cell::new(0));
    let (count, source) = (calls.clone(), one.clone());
    runner
        .event_loop()
        .add_reader(one, move || {
            (&*source).read_exact(&mut [0]).unwrap();
            count.set(count.get() + 1);
            panic!("a bug");
        })
        .unwrap();
    other.write_all(b"ab").unwrap();
    run_until_idle(&mut runner);
    assert_eq!(calls.get(), 2);

    let (full, mut reads) = UnixStream::pair().unwrap();
    full.set_nonblocking(true).unwrap();
    while (&full).write(&[0; 4096]).is_ok() {}
    let calls = Rc::new(Cell::new(0));
    let count = calls.clone();
    let writer = runner.event_loop().add_writer(full, move || count.set(count.get() + 1)).unwrap();
    run_until_idle(&mut runner);
    assert_eq!(calls.get(), 0);
    reads.set_nonblocking(true).unwrap();
    while reads.read(&mut [0; 65536]).is_ok() {}
    run_until_idle(&mut runner);
    assert!(calls.get() > 0);
    writer.cancel();
}

#[test]
fn a_descriptor_that_cannot_be_watched_is_an_error() {
    let runner = Runner::new().unwrap();
    let file = std::fs::File::open("Cargo.toml").unwrap();
    assert!(runner.event_loop().add_reader(file, || ()).is_err());
    let (one, _other) = UnixStream::pair().unwrap();
    let event_loop = runner.event_loop();
    let elsewhere = std::thread::spawn(move || event_loop.add_reader(one, || ()).map(|_| ()).unwrap_err());
    assert!(elsewhere.join().unwrap().to_string().contains("not the loop's thread"));
}
