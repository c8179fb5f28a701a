//! What users of `fs` may rely on.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::cell::RefCell;
use std::future::Future;
use std::io::{ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio_base::report;
use asyncio_blocking::fs::{self, DirEntry, File, OpenOptions, ReadDir};
use asyncio_blocking::to_thread;
use asyncio_runtime::{Runner, run};
use asyncio_tasks::{spawn, spawn_local, yield_now};
use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, StreamExt};
use static_assertions::assert_impl_all;

assert_impl_all!(File: Send, Sync, Unpin);
assert_impl_all!(ReadDir: Send, Unpin);
assert_impl_all!(DirEntry: Send, Sync);
assert_impl_all!(OpenOptions: Send, Sync);

/// A directory that is removed with this.
struct Dir(PathBuf);

/// Where what is in memory is read without a thread, and where the system does not say what is: on Linux, a file system in memory.
fn places() -> Vec<PathBuf> {
    let places = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    places.into_iter().filter(|place| place.is_dir()).collect()
}

impl Dir {
    fn new(name: &str) -> Self {
        Self::at(&std::env::temp_dir(), name)
    }

    fn at(place: &Path, name: &str) -> Self {
        let path = place.join(format!("asyncio-fs-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn is_pending<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 / 3) as u8).collect()
}

#[test]
fn files_of_every_size_are_read_and_written() {
    for place in places() {
        sizes(&Dir::at(&place, "sizes"));
    }
    // Made by reading it, and of no size to look at.
    #[cfg(target_os = "linux")]
    run(async {
        let text = fs::read_to_string("/proc/self/status").await.unwrap();
        assert!(text.contains("Threads:"));
        assert!(fs::read("/proc/self/maps").await.unwrap().len() > 1000);
    });
}

fn sizes(dir: &Dir) {
    run(async {
        for length in [0, 1, 16_384, 65_536, 65_537, 300_000, 3_000_000] {
            let (path, written) = (dir.join(format!("{length}")), bytes(length));
            fs::write(&path, &written).await.unwrap();
            assert!(fs::read(&path).await.unwrap() == written, "{length}");
            let mut file = File::open(&path).await.unwrap();
            let mut read = Vec::new();
            file.read_to_end(&mut read).await.unwrap();
            assert!(read == written, "{length}");
        }
    });
}

#[test]
fn functions_do_what_those_of_std_do() {
    let dir = Dir::new("functions");
    run(async {
        fs::create_dir_all(dir.join("a/b")).await.unwrap();
        fs::write(dir.join("a/b/one"), "text").await.unwrap();
        assert_eq!(fs::copy(dir.join("a/b/one"), dir.join("two")).await.unwrap(), 4);
        fs::rename(dir.join("two"), dir.join("three")).await.unwrap();
        assert!(!fs::try_exists(dir.join("two")).await.unwrap());
        assert_eq!(fs::read_to_string(dir.join("three")).await.unwrap(), "text");
        fs::hard_link(dir.join("three"), dir.join("four")).await.unwrap();
        assert_eq!(fs::metadata(dir.join("four")).await.unwrap().len(), 4);
        #[cfg(unix)]
        {
            fs::symlink("four", dir.join("link")).await.unwrap();
            assert_eq!(fs::read_link(dir.join("link")).await.unwrap(), Path::new("four"));
            assert!(fs::symlink_metadata(dir.join("link")).await.unwrap().is_symlink());
            let canonical = fs::canonicalize(dir.join("link")).await.unwrap();
            assert_eq!(canonical, std::fs::canonicalize(dir.join("four")).unwrap());
        }
        let mut permissions = fs::metadata(dir.join("four")).await.unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(dir.join("four"), permissions).await.unwrap();
        assert!(fs::metadata(dir.join("four")).await.unwrap().permissions().readonly());
        fs::create_dir(dir.join("empty")).await.unwrap();
        fs::remove_dir(dir.join("empty")).await.unwrap();
        fs::remove_dir_all(dir.join("a")).await.unwrap();
        fs::remove_file(dir.join("three")).await.unwrap();
        assert!(!dir.join("three").exists());
    });
}

#[test]
fn errors_name_what_was_done_and_to_what() {
    let dir = Dir::new("errors");
    let missing = dir.join("missing");
    run(async {
        let named = |error: std::io::Error, doing: &str| {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            let start = format!("cannot {doing} `{}`: ", missing.display());
            assert!(error.to_string().starts_with(&start), "{error}");
        };
        named(fs::read(&missing).await.unwrap_err(), "read");
        named(File::open(&missing).await.unwrap_err(), "open");
        named(fs::metadata(&missing).await.unwrap_err(), "look at");
        named(fs::remove_file(&missing).await.unwrap_err(), "remove");
        named(fs::rename(&missing, dir.join("other")).await.unwrap_err(), "rename");
        named(fs::read_dir(&missing).await.map(drop).unwrap_err(), "list");
        fs::write(dir.join("no text"), [0xff, 0xfe]).await.unwrap();
        let error = fs::read_to_string(dir.join("no text")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let error =
            OpenOptions::new().write(true).create_new(true).open(dir.join("no text")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    });
}

#[test]
fn reads_writes_and_seeks_are_in_order() {
    places().iter().for_each(|place| in_order(&Dir::at(place, "order")));
}

fn in_order(dir: &Dir) {
    run(async {
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(true).open(dir.join("file")).await.unwrap();
        let (all, mut buf) = (bytes(1_000_000), [0; 10]);
        file.write_all(&all).await.unwrap();
        file.seek(SeekFrom::Start(500)).await.unwrap();
        file.read_exact(&mut buf).await.unwrap();
        assert_eq!(buf, all[500..510]);
        // What was fetched beyond that is no part of the place.
        assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 510);
        file.read_exact(&mut buf).await.unwrap();
        file.write_all(b"here").await.unwrap();
        file.read_exact(&mut buf).await.unwrap();
        assert_eq!(buf, all[524..534]);
        assert_eq!(file.seek(SeekFrom::End(-4)).await.unwrap(), 999_996);
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, all[999_996..]);
        assert!(file.seek(SeekFrom::Current(-2_000_000)).await.is_err());
        file.set_len(600).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 600);
        file.sync_all().await.unwrap();
        file.sync_data().await.unwrap();
        let std = file.into_std().await.unwrap();
        assert_eq!(std.metadata().unwrap().len(), 600);
        assert_eq!(fs::read(dir.join("file")).await.unwrap()[520..524], *b"here");
    });
}

#[test]
fn it_may_be_dropped_at_every_poll() {
    places().iter().for_each(|place| dropped_at_every_poll(&Dir::at(place, "dropped")));
}

fn dropped_at_every_poll(dir: &Dir) {
    let all = bytes(900_000);
    std::fs::write(dir.join("file"), &all).unwrap();
    run(async {
        let mut file = File::open(dir.join("file")).await.unwrap();
        let (mut read, mut buf) = (Vec::new(), vec![0; 100_000]);
        loop {
            // Polled once, and dropped if it is pending.
            let poll = {
                let mut one = pin!(file.read(&mut buf));
                std::future::poll_fn(|cx| Poll::Ready(one.as_mut().poll(cx))).await
            };
            match poll {
                Poll::Ready(Ok(0)) => break,
                Poll::Ready(n) => read.extend_from_slice(&buf[..n.unwrap()]),
                Poll::Pending => yield_now().await,
            }
        }
        assert!(read == all);

        let mut file = File::create(dir.join("other")).await.unwrap();
        let mut written = 0;
        while written < all.len() {
            let poll = {
                let mut one = pin!(file.write(&all[written..]));
                std::future::poll_fn(|cx| Poll::Ready(one.as_mut().poll(cx))).await
            };
            match poll {
                Poll::Ready(n) => written += n.unwrap(),
                Poll::Pending => yield_now().await,
            }
        }
        file.flush().await.unwrap();
        assert!(std::fs::read(dir.join("other")).unwrap() == all);
        // Some end before they are polled.
        let _ = is_pending(pin!(fs::write(dir.join("x"), "y")));
        let _ = is_pending(pin!(fs::read_dir(&dir.0)));
        let _ = is_pending(pin!(fs::metadata(&dir.0)));
        let _ = is_pending(pin!(File::open(&dir.0)));
    });
}

/// Neither the end of the runtime nor that of the file loses what a write has taken.
#[test]
fn what_was_written_is_there_though_nobody_flushes() {
    let dir = Dir::new("unflushed");
    let all = bytes(200_000);
    for workers in [1, 2] {
        for round in 0..20 {
            let path = dir.join(format!("{workers}-{round}"));
            let mut runner = Runner::builder().workers(workers).blocking_threads_max(1).build().unwrap();
            runner.run(async {
                let mut file = File::create(&path).await.unwrap();
                // The only thread is busy for a while: the write waits in line.
                let busy = (round % 2 == 0)
                    .then(|| spawn(to_thread(|| std::thread::sleep(Duration::from_millis(2)))));
                yield_now().await;
                file.write_all(&all).await.unwrap();
                drop(busy);
                if round % 4 < 2 {
                    drop(file);
                } else {
                    std::mem::drop(spawn_local(async move {
                        let _file = file;
                        std::future::pending::<()>().await;
                    }));
                }
            });
            drop(runner);
            // One that was with its thread has ended, since the end of a runtime waits for that.
            assert!(std::fs::read(&path).unwrap() == all, "{workers} {round}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_told_once_or_reported() {
    Runner::builder().blocking_threads_max(1).build().unwrap().run(async {
        let mut file = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        file.write_all(b"too much").await.unwrap();
        assert_eq!(file.flush().await.unwrap_err().kind(), ErrorKind::StorageFull);
        file.flush().await.unwrap();
        file.write_all(b"too much").await.unwrap();
        assert!(file.write_all(b"more").await.is_err());
        let reports = Rc::new(RefCell::new(Vec::new()));
        let sink = reports.clone();
        file.write_all(b"too much").await.unwrap();
        // Behind the write, on the only thread.
        to_thread(|| ()).await.unwrap();
        report::with_handler(Rc::new(move |report| sink.borrow_mut().push(report.to_string())), || {
            drop(file)
        });
        assert_eq!(reports.borrow().len(), 1, "{reports:?}");
        assert!(reports.borrow()[0].contains("are lost"), "{reports:?}");
    });
}

#[test]
fn a_directory_is_listed_however_much_is_in_it() {
    let dir = Dir::new("listed");
    let mut expected: Vec<String> = (0..1000).map(|n| format!("{n:04}")).collect();
    for name in &expected {
        std::fs::write(dir.join(name), name).unwrap();
    }
    std::fs::create_dir(dir.join("sub")).unwrap();
    expected.push("sub".into());
    run(async {
        let (mut entries, mut names) = (fs::read_dir(&dir.0).await.unwrap(), Vec::new());
        while let Some(entry) = entries.next().await {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            assert_eq!(entry.path(), dir.join(&name));
            if name == "sub" {
                assert!(entry.file_type().await.unwrap().is_dir());
            } else if name == "0500" {
                assert_eq!(entry.metadata().await.unwrap().len(), 4);
            }
            names.push(name);
        }
        names.sort();
        assert_eq!(names, expected);
        assert!(entries.next_entry().await.unwrap().is_none());
    });
}

/// To open it would let whoever writes go on, into nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_named_pipe_is_read_as_std_reads_it() {
    let dir = Dir::new("fifo");
    let path = dir.join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    run(async {
        let writer = to_thread({
            let path = path.clone();
            move || std::fs::write(path, "through a pipe")
        });
        assert_eq!(fs::read(&path).await.unwrap(), b"through a pipe");
        writer.await.unwrap().unwrap();
    });
}

#[test]
fn without_a_loop_and_under_executors_of_others() {
    let read = || async {
        fs::read("Cargo.toml").await.unwrap().len() + fs::metadata("src").await.map(|_| 1).unwrap()
    };
    let expected = std::fs::read("Cargo.toml").unwrap().len() + 1;
    assert_eq!(asyncio_executor::block_on(read()), expected);
    assert_eq!(futures_lite::future::block_on(read()), expected);
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(tokio.block_on(read()), expected);
}

/// Whoever reads a file that is replaced sees the one or the other.
#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_meanwhile_is_read_whole() {
    let dir = Dir::new("replaced");
    let (path, other) = (dir.join("file"), dir.join("other"));
    std::fs::write(&path, vec![b'a'; 100]).unwrap();
    let ends = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let replaces = std::thread::spawn({
        let (path, ends) = (path.clone(), ends.clone());
        move || {
            for n in 0_usize.. {
                if ends.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                let (byte, length) = if n % 2 == 0 { (b'b', 200) } else { (b'a', 100) };
                std::fs::write(&other, vec![byte; length]).unwrap();
                std::fs::rename(&other, &path).unwrap();
            }
        }
    });
    run(async {
        for _ in 0..20_000 {
            let bytes = fs::read(&path).await.unwrap();
            let length = if bytes[0] == b'a' { 100 } else { 200 };
            assert_eq!(bytes.len(), length);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        }
    });
    ends.store(true, std::sync::atomic::Ordering::Relaxed);
    replaces.join().unwrap();
}

/// A write that is in line when the runtime ends is done by whoever ends it.
#[test]
fn a_file_that_outlives_its_runtime_has_what_was_written() {
    let dir = Dir::new("outlives");
    let path = dir.join("file");
    let mut runner = Runner::builder().blocking_threads_max(1).build().unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let file = runner.run(async {
        let mut file = File::create(&path).await.unwrap();
        let busy = to_thread(move || released.recv().is_ok());
        let mut busy = pin!(busy);
        assert!(is_pending(busy.as_mut()));
        file.write_all(b"not lost").await.unwrap();
        // The only thread goes on for a while; dropped, its call is not cancelled, since it has begun, or is.
        drop(release);
        file
    });
    drop(runner);
    drop(file);
    assert_eq!(std::fs::read(&path).unwrap(), b"not lost");
}

/// What has no place keeps what was fetched of it.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_or_a_pipe_as_a_file() {
    let terminal =
        rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&terminal).unwrap();
    rustix::pty::unlockpt(&terminal).unwrap();
    let name = rustix::pty::ptsname(&terminal, Vec::new()).unwrap();
    run(async {
        let mut file = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).await.unwrap();
        rustix::io::write(&terminal, b"one two\n").unwrap();
        let (mut one, mut two) = ([0; 3], [0; 5]);
        file.read_exact(&mut one).await.unwrap();
        file.write_all(b"!").await.unwrap();
        file.flush().await.unwrap();
        file.read_exact(&mut two).await.unwrap();
        assert_eq!((&one, &two), (b"one", b" two\n"));
    });

    let dir = Dir::new("no-place");
    let path = dir.join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    run(async {
        let mut file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
        file.write_all(b"one two").await.unwrap();
        let mut buf = [0; 3];
        file.read_exact(&mut buf).await.unwrap();
        file.metadata().await.unwrap();
        file.write_all(b"!").await.unwrap();
        let mut rest = [0; 5];
        file.read_exact(&mut rest).await.unwrap();
        assert_eq!((&buf, &rest), (b"one", b" two!"));
    });
}
