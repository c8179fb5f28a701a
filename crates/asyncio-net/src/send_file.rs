//! A file to a socket: by the system where it can (sendfile(2)), else through memory, read by another thread.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::{Bound, RangeBounds};

use asyncio_base::shim::Arc;
use asyncio_blocking::to_thread;
use asyncio_reactor::{SendMsg, Socket, Waiter};

/// How much is asked for in one call: no more than a loop can stand still for, if a peer reads as fast as it is sent.
#[cfg(unix)]
const CALL_MAX: u64 = 2 * 1024 * 1024;
/// How much is read at a time, where it goes through memory.
const CHUNK: u64 = 256 * 1024;

/// What is left to send: from here, up to there, or up to the end of the file.
struct Part {
    from: u64,
    to: u64,
    sent: u64,
}

impl Part {
    fn new(range: impl RangeBounds<u64>) -> Self {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(to) => *to,
            Bound::Unbounded => u64::MAX,
        };
        Self { from, to, sent: 0 }
    }

    fn left(&self, max: u64) -> usize {
        // At most `CALL_MAX`, which every platform's `usize` holds.
        self.to.saturating_sub(self.from).min(max) as usize
    }

    fn advance(&mut self, n: usize) {
        self.from += n as u64;
        self.sent += n as u64;
    }
}

/// Sends a part of a file, up to its end at most; says how many bytes.
pub(crate) async fn send_file(
    socket: &dyn Socket,
    file: &File,
    range: impl RangeBounds<u64>,
) -> io::Result<u64> {
    let mut part = Part::new(range);
    match by_the_system(socket, file, &mut part).await {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            through_memory(socket, file, &mut part).await?;
        }
        result => result?,
    }
    Ok(part.sent)
}

#[cfg(unix)]
async fn by_the_system(socket: &dyn Socket, file: &File, part: &mut Part) -> io::Result<()> {
    use std::os::fd::AsFd;
    let mut waiter = Waiter::new();
    while part.left(CALL_MAX) > 0 {
        let (mut offset, count) = (part.from, part.left(CALL_MAX));
        let sent =
            poll_fn(|cx| socket.poll_send_file(cx, &mut waiter, file.as_fd(), &mut offset, count)).await?;
        if sent == 0 {
            break;
        }
        part.advance(sent);
    }
    Ok(())
}

#[cfg(not(unix))]
async fn by_the_system(_socket: &dyn Socket, _file: &File, _part: &mut Part) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

async fn through_memory(socket: &dyn Socket, file: &File, part: &mut Part) -> io::Result<()> {
    let file = Arc::new(file.try_clone()?);
    let mut waiter = Waiter::new();
    while part.left(CHUNK) > 0 {
        let (file, from, count) = (file.clone(), part.from, part.left(CHUNK));
        let chunk = to_thread(move || {
            let mut chunk = vec![0; count];
            let read = read_at(&file, &mut chunk, from)?;
            chunk.truncate(read);
            Ok::<_, io::Error>(chunk)
        });
        let chunk = chunk.await.map_err(io::Error::other)??;
        if chunk.is_empty() {
            break;
        }
        let mut left = &chunk[..];
        while !left.is_empty() {
            let bufs = [IoSlice::new(left)];
            let sent = poll_fn(|cx| socket.poll_send(cx, &mut waiter, &SendMsg::new(&bufs))).await?;
            part.advance(sent);
            left = &left[sent..];
        }
    }
    poll_fn(|cx| socket.poll_flush(cx, &mut waiter)).await
}

#[cfg(unix)]
fn read_at(file: &File, buf: &mut [u8], from: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, from)
}

#[cfg(windows)]
fn read_at(file: &File, buf: &mut [u8], from: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, from)
}
