//! [`Worker`]: a worker as its pool has it.

use std::future::{Future, pending};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use asyncio_base::is_loop_closed;
use asyncio_net::UnixStream;
use asyncio_tasks::{race, timeout};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::frame::{Answer, HEAD, Reply, decode, length};
use super::functions::Functions;
use super::worker::{HELLO, MARK, number_of_socket};
use super::{GRACE, ProcessPoolBuilder};
use crate::child::Child;
use crate::command::Command;

/// So long a worker may take to enter.
const START: Duration = Duration::from_secs(60);
/// What is read at once at least.
const CHUNK: usize = 4096;

/// A worker. Dropped, it is killed (W2).
#[derive(Debug)]
pub(super) struct Worker {
    /// Not of any loop while it is idle: the next call may be on another one. `None` while it has a call, and after one that failed.
    stream: Option<StdStream>,
    child: Child,
    /// How many calls it was given.
    calls: u64,
}

/// Why a call has no answer.
pub(super) struct Failed {
    pub(super) error: io::Error,
    /// Nothing of the call has reached the worker.
    pub(super) is_untouched: bool,
}

impl Worker {
    pub(super) async fn start(options: &ProcessPoolBuilder) -> io::Result<Self> {
        if !Functions::have_entered() {
            let what = "a worker of this program would do what this process does: call `Functions::enter` early in `main`";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let (ours, theirs) = StdStream::pair()?;
        let mark = number_of_socket(&theirs).ok_or(io::ErrorKind::Unsupported)?.to_string();
        let mut command = this_program()?;
        command.args(&options.worker_args).env(MARK, mark).stdin(OwnedFd::from(theirs)).kill_on_drop(true);
        let child = command.spawn()?;
        drop(command);
        let mut stream = UnixStream::from_std(ours)?;
        let mut hello = [0];
        let entered = or_end(&child, stream.read_exact(&mut hello));
        match timeout(START, entered).await {
            Ok(entered) => entered?,
            Err(_) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the worker has not entered after 60 s"));
            }
        }
        if hello != [HELLO] {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the worker does not speak as one"));
        }
        Ok(Self { stream: Some(stream.into_std()?), child, calls: 0 })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The number of its next call.
    pub(super) fn number(&self) -> u64 {
        self.calls
    }

    /// Whether it is there for another call.
    pub(super) fn is_fit(&self, calls_max: Option<u64>) -> bool {
        calls_max.is_none_or(|max| self.calls < max) && matches!(self.child.try_wait(), Ok(None))
    }

    /// Has it run a call. Given back with the answer; dropped in between, it is in the middle of something, and of no use any more.
    pub(super) async fn call(mut self, message: &[u8]) -> Result<(Self, Answer), (Self, Failed)> {
        let (number, mut written) = (self.calls, 0);
        self.calls += 1;
        match self.try_call(number, message, &mut written).await {
            Ok(answer) => Ok((self, answer)),
            Err(error) => {
                let is_gone =
                    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
                Err((self, Failed { error, is_untouched: is_gone && written == 0 }))
            }
        }
    }

    async fn try_call(&mut self, number: u64, message: &[u8], written: &mut usize) -> io::Result<Answer> {
        let std = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        let mut stream = UnixStream::from_std(std)?;
        let bytes = or_end(&self.child, exchange(&mut stream, message, written)).await?;
        let reply: Reply = decode(&bytes).map_err(invalid)?;
        if reply.number != number {
            return Err(invalid("it answers another call"));
        }
        self.stream = Some(stream.into_std()?);
        Ok(reply.answer)
    }

    /// Waits for the end of one that has failed: by itself, or it is ended.
    pub(super) async fn end(self) -> io::Result<ExitStatus> {
        let Self { stream, child, .. } = self;
        drop(stream);
        match timeout(GRACE, child.wait()).await {
            Ok(ended) => ended,
            Err(_) => child.stop(GRACE).await,
        }
    }
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Sends a call, and receives what is behind the head of the reply.
async fn exchange(stream: &mut UnixStream, message: &[u8], written: &mut usize) -> io::Result<Vec<u8>> {
    while *written < message.len() {
        match stream.write(&message[*written..]).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => *written += n,
        }
    }
    let (mut bytes, mut n) = (vec![0; CHUNK], 0);
    loop {
        // All of it, once its length is known.
        let whole = bytes.first_chunk::<HEAD>().filter(|_| n >= HEAD);
        let whole = whole.map_or(usize::MAX, |head| HEAD.saturating_add(length(*head)));
        if n >= whole {
            bytes.truncate(whole);
            bytes.drain(..HEAD);
            return Ok(bytes);
        }
        // As much as has come already, and not what it says that comes: it may say anything.
        let room = whole.min(n.saturating_mul(2).max(CHUNK));
        if bytes.len() < room {
            bytes.resize(room, 0);
        }
        n += match stream.read(&mut bytes[n..room]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
    }
}

/// Waits for something of a worker, or for its end: what it has started may hold the connection.
async fn or_end<T>(child: &Child, something: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut something = pin!(something);
    let ended = async {
        if child.ended().await.is_err_and(|error| is_loop_closed(&error)) {
            // It was waited for on another loop, and that is gone: it is not heard of here.
            pending::<()>().await;
        }
        None
    };
    let first = race!(async { Some(something.as_mut().await) }, ended);
    match first {
        Some(outcome) => outcome,
        // What it has said before is there.
        None => timeout(GRACE, something).await.unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// The file that this process runs, also where it has another name by now, or none.
#[cfg(target_os = "linux")]
fn this_program() -> io::Result<Command> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(std::env::args_os().next().unwrap_or_default());
    Ok(command)
}

#[cfg(not(target_os = "linux"))]
fn this_program() -> io::Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}
