//! [`Child::communicate`]: writes and reads at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::wait_point;
use futures_io::AsyncWrite;

use super::{Child, ChildStdin};

/// What is sent to a child, and what has come of it. It outlives a call that is dropped.
#[derive(Debug, Default)]
pub(super) struct Talk {
    input: Vec<u8>,
    /// How much of that is written.
    written: usize,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Child {
    /// Takes what was collected of the child's output and error output by a [`communicate`](Self::communicate) that was dropped before it came to its end.
    pub fn take_collected(&mut self) -> (Vec<u8>, Vec<u8>) {
        self.talk
            .as_mut()
            .map(|talk| (std::mem::take(&mut talk.stdout), std::mem::take(&mut talk.stderr)))
            .unwrap_or_default()
    }

    pub(super) fn begin_talk(&mut self, input: &[u8]) -> io::Result<()> {
        let refused = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if !input.is_empty() {
            if self.talk.is_some() {
                return refused(
                    "a former call has begun to send; the next goes on with that, and has nothing to send itself",
                );
            }
            if self.stdin.as_ref().is_none_or(ChildStdin::is_closed) {
                return refused(
                    "there is something to send to a child that reads no pipe: set its `stdin` to `Stdio::piped()`, do not take that, and do not wait before, which closes it",
                );
            }
        }
        self.talk.get_or_insert_with(|| Box::new(Talk { input: input.to_vec(), ..Talk::default() }));
        Ok(())
    }

    /// Writes and reads until there is nothing more of either.
    pub(super) fn poll_talk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let talk = self.talk.get_or_insert_default();
        let mut is_pending = false;
        if let Some(stdin) = &mut self.stdin {
            match talk.poll_send(cx, stdin) {
                Poll::Ready(sent) => {
                    self.stdin = None;
                    sent?;
                }
                Poll::Pending => is_pending = true,
            }
        }
        if let Some(stdout) = &mut self.stdout {
            match poll_all(|| stdout.poll_read_behind(cx, &mut talk.stdout)) {
                Poll::Ready(read) => {
                    read?;
                    self.stdout = None;
                }
                Poll::Pending => is_pending = true,
            }
        }
        if let Some(stderr) = &mut self.stderr {
            match poll_all(|| stderr.poll_read_behind(cx, &mut talk.stderr)) {
                Poll::Ready(read) => {
                    read?;
                    self.stderr = None;
                }
                Poll::Pending => is_pending = true,
            }
        }
        if is_pending {
            wait_point::here("communicate");
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads until the end.
fn poll_all(mut read: impl FnMut() -> Poll<io::Result<usize>>) -> Poll<io::Result<()>> {
    while ready!(read())? > 0 {}
    Poll::Ready(Ok(()))
}

impl Talk {
    /// Writes what is to be sent. A child that reads no more has read enough.
    fn poll_send(&mut self, cx: &mut Context<'_>, stdin: &mut ChildStdin) -> Poll<io::Result<()>> {
        while self.written < self.input.len() {
            match ready!(Pin::new(&mut *stdin).poll_write(cx, &self.input[self.written..])) {
                Ok(n) => self.written += n,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.input = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}
