//! `Readiness`: descriptors of any kind.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use asyncio_base::is_loop_closed;
use asyncio_net::Readiness;
use asyncio_runtime::Runner;
use asyncio_tasks::{spawn_local, timeout};
use static_assertions::assert_impl_all;

use crate::worlds::on_each_real_loop;

assert_impl_all!(Readiness<File>: Send, Sync, Unpin);

#[test]
fn it_says_what_is_true_now_however_little_is_read() {
    on_each_real_loop(async || {
        let (one, mut other) = UnixStream::pair().unwrap();
        let one = Readiness::new(one).unwrap();
        assert!(timeout(Duration::from_millis(5), one.readable()).await.is_err(), "nothing is there");
        one.writable().await.unwrap();
        other.write_all(b"abc").unwrap();
        for expected in *b"abc" {
            // Again and again, though nothing new comes: what is left is left.
            one.readable().await.unwrap();
            one.readable().await.unwrap();
            let mut byte = [0];
            one.get_ref().read_exact(&mut byte).unwrap();
            assert_eq!(byte, [expected]);
        }
        assert!(timeout(Duration::from_millis(5), one.readable()).await.is_err(), "all is read");
        drop(other);
        one.readable().await.unwrap();
        assert_eq!(one.get_ref().read(&mut [0]).unwrap(), 0, "the end is readable too");
    });
}

#[test]
fn pipes_in_both_directions() {
    on_each_real_loop(async || {
        let (reader, writer) = io::pipe().unwrap();
        let (reader, writer) = (Readiness::new(reader).unwrap(), Readiness::new(writer).unwrap());
        rustix::io::ioctl_fionbio(writer.get_ref(), true).unwrap();
        let reading = spawn_local(async move {
            let mut total = 0;
            loop {
                reader.readable().await.unwrap();
                match reader.get_ref().read(&mut [0; 4096]).unwrap() {
                    0 => return total,
                    n => total += n,
                }
            }
        });
        let mut written = 0;
        while written < 1 << 20 {
            writer.writable().await.unwrap();
            written += writer.get_ref().write(&[7; 4096]).unwrap();
        }
        drop(writer.into_inner());
        assert_eq!(timeout(Duration::from_secs(20), reading).await.unwrap().unwrap(), written);
    });
}

#[test]
fn several_wait_for_the_same() {
    on_each_real_loop(async || {
        let (one, mut other) = UnixStream::pair().unwrap();
        let one = Rc::new(Readiness::new(one).unwrap());
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let one = one.clone();
                spawn_local(async move { one.readable().await.unwrap() })
            })
            .collect();
        timeout(Duration::from_millis(5), std::future::pending::<()>()).await.unwrap_err();
        other.write_all(b"x").unwrap();
        for task in waiting {
            timeout(Duration::from_secs(20), task).await.unwrap().unwrap();
        }
    });
}

#[test]
fn what_cannot_be_waited_for_is_an_error() {
    on_each_real_loop(async || {
        let file = File::open("/proc/self/exe").unwrap();
        let error = Readiness::new(file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        let (one, _other) = UnixStream::pair().unwrap();
        let first = Readiness::new(&one).unwrap();
        assert_eq!(Readiness::new(&one).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        drop(first);
        Readiness::new(&one).unwrap();
    });
}

#[test]
fn after_its_loop_it_says_so() {
    let (one, _other) = UnixStream::pair().unwrap();
    let one = Runner::new().unwrap().run(async { Readiness::new(one).unwrap() });
    let error = asyncio_executor::block_on(one.readable()).unwrap_err();
    assert!(is_loop_closed(&error), "{error}");
}
