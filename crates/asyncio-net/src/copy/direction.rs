//! One direction of two streams that are put together.
//!
//! Bytes go through memory, or, between two sockets of the operating system, through a pipe of the kernel (splice(2)), where they are not copied. The pipe is worth its calls
//! only for many bytes at once: so a direction takes one when a read has filled its memory, and gives it back when little comes, or nothing.

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use super::pipe::Pipe;
use crate::halves::Half;
use crate::receive_buffer::ReceiveBuffer;
use crate::tcp::TcpStream;
#[cfg(unix)]
use crate::unix::UnixStream;

/// How much memory one direction has.
const BUFFER_SIZE: usize = 64 * 1024;
/// Fewer bytes than these are copied faster than they are moved.
const WORTH_MOVING: usize = 16 * 1024;

/// How many calls a direction makes in one poll at most.
const ROUNDS_MAX: usize = 32;

pub(super) struct Direction {
    buffer: ReceiveBuffer,
    /// Where bytes are instead, while there is one.
    pipe: Option<Pipe>,
    /// How many are there that have not been written, and where the first of them is in the memory.
    held: usize,
    from: usize,
    /// How many the last read brought.
    last: usize,
    /// No socket has said that it cannot, and there are pipes to be had.
    may_move: bool,
    has_ended: bool,
    is_over: bool,
    needs_flush: bool,
    /// How many bytes have been written.
    pub(super) count: u64,
}

impl Direction {
    pub(super) fn new() -> Self {
        Self {
            buffer: ReceiveBuffer::new(BUFFER_SIZE),
            pipe: None,
            held: 0,
            from: 0,
            last: 0,
            may_move: true,
            has_ended: false,
            is_over: false,
            needs_flush: false,
            count: 0,
        }
    }

    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        let mut left = ROUNDS_MAX;
        while !self.is_over {
            if left == 0 {
                // The other direction's turn, and the others': streams in memory might go on for ever.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            left -= 1;
            if self.held > 0 {
                let n = ready!(self.poll_write(cx, writer))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.held -= n;
                self.from += n;
                self.count += n as u64;
                self.needs_flush = true;
            } else if self.has_ended {
                ready!(Pin::new(&mut *writer).poll_close(cx))?;
                self.is_over = true;
            } else {
                self.choose_way(reader, writer);
                let Poll::Ready(n) = self.poll_read(cx, reader)? else {
                    self.leave_pipe();
                    // A writer that keeps bytes must not keep them while nothing else comes.
                    if self.needs_flush {
                        ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                        self.needs_flush = false;
                    }
                    return Poll::Pending;
                };
                (self.held, self.from, self.last) = (n, 0, n);
                if n == 0 {
                    self.has_ended = true;
                    self.leave_pipe();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Between two reads, when nothing is held.
    fn choose_way<R: 'static, W: 'static>(&mut self, reader: &mut R, writer: &mut W) {
        if self.pipe.is_some() && self.last < WORTH_MOVING {
            self.leave_pipe();
        } else if self.pipe.is_none() && self.last >= BUFFER_SIZE && self.may_move {
            let can_move = reading_half(reader).is_some() && writing_half(writer).is_some();
            self.pipe = can_move.then(Pipe::take).flatten();
            // One that is not to be had now is not asked for time and again.
            self.may_move = self.pipe.is_some();
        }
    }

    /// An empty one.
    fn leave_pipe(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            pipe.give_back();
        }
    }

    fn poll_read<R>(&mut self, cx: &mut Context<'_>, reader: &mut R) -> Poll<io::Result<usize>>
    where
        R: AsyncRead + Unpin + 'static,
    {
        if let (Some(pipe), Some(half)) = (&self.pipe, reading_half(reader)) {
            match half.poll_recv_to_pipe(cx, pipe.writer(), pipe.size()) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    self.may_move = false;
                    self.leave_pipe();
                }
                poll => return poll,
            }
        }
        Pin::new(reader).poll_read(cx, &mut self.buffer)
    }

    fn poll_write<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<usize>>
    where
        W: AsyncWrite + Unpin + 'static,
    {
        if let (Some(pipe), Some(half)) = (&self.pipe, writing_half(writer)) {
            match half.poll_send_from_pipe(cx, pipe.reader(), self.held) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Unsupported => self.pour()?,
                poll => return poll,
            }
        }
        Pin::new(writer).poll_write(cx, &self.buffer[self.from..self.from + self.held])
    }

    /// Takes what is held out of the pipe into memory: the writer cannot take it from there.
    fn pour(&mut self) -> io::Result<()> {
        self.may_move = false;
        if let Some(pipe) = self.pipe.take() {
            self.buffer = ReceiveBuffer::new(self.held.max(BUFFER_SIZE));
            self.from = 0;
            pipe.read_exact(&mut self.buffer[..self.held])?;
            pipe.give_back();
        }
        Ok(())
    }
}

/// The reading direction of a stream that is a socket's own.
fn reading_half(stream: &mut dyn Any) -> Option<&mut Half> {
    halves(stream).map(|(read, _)| read)
}

/// The writing direction of a stream that is a socket's own.
fn writing_half(stream: &mut dyn Any) -> Option<&mut Half> {
    halves(stream).map(|(_, write)| write)
}

fn halves(stream: &mut dyn Any) -> Option<(&mut Half, &mut Half)> {
    #[cfg(unix)]
    if stream.is::<UnixStream>() {
        return stream.downcast_mut::<UnixStream>().map(UnixStream::halves);
    }
    stream.downcast_mut::<TcpStream>().map(TcpStream::halves)
}
