//! What cannot be waited for, on a thread of its own: files, consoles of some systems, and pipes of others.
//!
//! Such a thread belongs to nobody's pool, and nobody waits for it: a read that is never answered holds neither a runtime nor the process at its end.

mod reader;
mod writer;

use std::task::Waker;
use std::time::Duration;

use asyncio_base::panic::{catch_and_store, into_message};
use asyncio_base::report::Report;

pub(crate) use reader::ThreadedReader;
pub(crate) use writer::ThreadedWriter;

/// How much is read or kept at once.
const CHUNK: usize = 64 * 1024;
/// How long a thread waits for what somebody has not block, before it tries again. It is looked at again and again since it need not be anything that can be
/// waited for: what can be is not on a thread, but for a socket that another program has left so.
const PAUSE: Duration = Duration::from_millis(5);

/// Those who wait, each once.
#[derive(Default)]
struct Waits(Vec<Waker>);

impl Waits {
    /// Returns a waker that is to be dropped without the lock.
    fn put(&mut self, waker: Waker) -> Option<Waker> {
        if self.0.iter().any(|other| other.will_wake(&waker)) {
            return Some(waker);
        }
        self.0.push(waker);
        None
    }

    fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Without the lock. A panic of one is nobody's here, and is reported.
    fn wake(self) {
        for waker in self.0 {
            let mut panic = None;
            catch_and_store(&mut panic, || waker.wake());
            if let Some(payload) = panic {
                let text = into_message(payload);
                Report::new("process", format_args!("a waker panicked: {text}")).panicked().send();
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::future::poll_fn;
    use std::io::{self, Read, Write};
    use std::sync::mpsc::{Receiver, channel};
    use std::task::{Context, Poll, Waker};

    use asyncio_executor::block_on;

    use super::*;

    /// Reads what it is sent, and blocks until then.
    struct Sent(Receiver<io::Result<Vec<u8>>>);

    impl Read for Sent {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
            buf[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    #[test]
    fn what_was_read_and_not_taken_is_there_for_the_next() {
        let (sender, receiver) = channel();
        let reader = ThreadedReader::new("test", Sent(receiver));
        let mut buf = [0; 4];
        assert!(reader.poll_read(&mut Context::from_waker(Waker::noop()), &mut buf).is_pending());
        let other = reader.clone();
        drop(reader);
        sender.send(Ok(b"sixteen bytes...".to_vec())).unwrap();
        for part in [b"sixt", b"een ", b"byte", b"s..."] {
            assert_eq!(block_on(poll_fn(|cx| other.poll_read(cx, &mut buf))).unwrap(), 4);
            assert_eq!(&buf, part);
        }
        sender.send(Err(io::ErrorKind::PermissionDenied.into())).unwrap();
        let error = block_on(poll_fn(|cx| other.poll_read(cx, &mut buf))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        // An end and an error are told once; what comes behind is read.
        sender.send(Ok(Vec::new())).unwrap();
        assert_eq!(block_on(poll_fn(|cx| other.poll_read(cx, &mut buf))).unwrap(), 0);
        sender.send(Ok(b"more".to_vec())).unwrap();
        assert_eq!(block_on(poll_fn(|cx| other.poll_read(cx, &mut buf))).unwrap(), 4);
    }

    /// Writes when it is told to.
    struct Told(Receiver<io::Result<()>>, std::sync::mpsc::Sender<Vec<u8>>);

    impl Write for Told {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.recv().unwrap_or(Ok(()))?;
            let _ = self.1.send(buf.to_vec());
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_takes_so_much_and_a_flush_waits_for_all() {
        let ((tell, told), (sender, receiver)) = (channel(), channel());
        let writer = ThreadedWriter::new("test", Told(told, sender));
        let cx = &mut Context::from_waker(Waker::noop());
        // One lot is with the thread, another is kept.
        assert!(matches!(writer.poll_write(cx, &[1]), Poll::Ready(Ok(1))));
        let chunk = vec![2; 2 * CHUNK];
        let mut taken = 0;
        let n = block_on(poll_fn(|cx| writer.poll_write(cx, &chunk))).unwrap();
        assert!(n <= CHUNK);
        taken += n;
        assert!(writer.poll_flush(cx).is_pending());
        for _ in 0..3 {
            tell.send(Ok(())).unwrap();
        }
        block_on(poll_fn(|cx| writer.poll_flush(cx))).unwrap();
        let written: Vec<u8> = receiver.try_iter().flatten().collect();
        assert_eq!((written.len(), written[0]), (taken + 1, 1));
        // All that was told is used, but for what stays of the three.
        drop(writer);
        let ((tell, told), (sender, _receiver)) = (channel(), channel());
        let writer = ThreadedWriter::new("test", Told(told, sender));
        assert!(writer.poll_write(cx, &[3]).is_ready());
        tell.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        let error = block_on(poll_fn(|cx| writer.poll_flush(cx))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        block_on(poll_fn(|cx| writer.poll_flush(cx))).unwrap();
    }

    #[test]
    fn what_a_writer_took_is_written_after_it_is_gone() {
        let ((tell, told), (sender, receiver)) = (channel(), channel());
        let writer = ThreadedWriter::new("test", Told(told, sender));
        assert!(writer.poll_write(&mut Context::from_waker(Waker::noop()), b"last words").is_ready());
        drop(writer);
        drop(tell);
        assert_eq!(receiver.recv().unwrap(), b"last words");
        assert!(receiver.recv().is_err(), "the thread has ended");
    }

    struct Panics;

    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("a waker that panics");
        }
    }

    #[test]
    fn a_waker_that_panics_ends_no_thread() {
        let (sender, receiver) = channel();
        let reader = ThreadedReader::new("test", Sent(receiver));
        let waker = Waker::from(std::sync::Arc::new(Panics));
        let mut buf = [0; 4];
        assert!(reader.poll_read(&mut Context::from_waker(&waker), &mut buf).is_pending());
        sender.send(Ok(b"here".to_vec())).unwrap();
        assert_eq!(block_on(poll_fn(|cx| reader.poll_read(cx, &mut buf))).unwrap(), 4);
        sender.send(Ok(b"more".to_vec())).unwrap();
        assert_eq!(block_on(poll_fn(|cx| reader.poll_read(cx, &mut buf))).unwrap(), 4);
    }
}
