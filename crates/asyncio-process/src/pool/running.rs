//! [`Worker`]: a worker as its pool has it.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;

use asyncio_net::UnixStream;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::ProcessPoolBuilder;
use super::frame::{Answer, HEAD, decode, length};
use super::worker::MARK;
use crate::child::Child;
use crate::command::Command;

/// What is read at once where nobody knows how much comes.
const CHUNK: usize = 4096;

/// A worker. Dropped, it is killed (W2).
#[derive(Debug)]
pub(super) struct Worker {
    stream: UnixStream,
    child: Child,
    /// How many it has answered.
    calls: u64,
}

impl Worker {
    pub(super) fn start(options: &ProcessPoolBuilder) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let mut command = this_program()?;
        command.args(&options.worker_args).env(MARK, "1").stdin(OwnedFd::from(theirs)).kill_on_drop(true);
        let child = command.spawn()?;
        Ok(Self { stream: UnixStream::from_std(ours)?, child, calls: 0 })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is there for another call.
    pub(super) fn is_fit(&self, calls_max: Option<u64>) -> bool {
        calls_max.is_none_or(|max| self.calls < max) && matches!(self.child.try_wait(), Ok(None))
    }

    /// Has it run a call. Dropped in between, or failed, it is in the middle of something, and of no use any more.
    pub(super) async fn call(&mut self, message: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(message).await?;
        let (mut bytes, mut n) = (vec![0; CHUNK], 0);
        loop {
            // All of it, once its length is known.
            let whole = bytes
                .first_chunk::<HEAD>()
                .filter(|_| n >= HEAD)
                .map(|head| HEAD.saturating_add(length(*head)));
            if whole == Some(n) {
                break;
            }
            let room = whole.unwrap_or(CHUNK);
            if bytes.len() < room {
                bytes.try_reserve_exact(room - bytes.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
                bytes.resize(room, 0);
            }
            n += match self.stream.read(&mut bytes[n..room]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => read,
            };
        }
        self.calls += 1;
        decode(&bytes[HEAD..n]).map_err(io::Error::other)
    }

    /// Waits for the end of one that has failed.
    pub(super) async fn end(self) -> io::Result<ExitStatus> {
        let Self { stream, child, .. } = self;
        // One that has not ended by itself does so now, or is ended.
        drop(stream);
        child.stop(super::GRACE).await
    }

    /// Waits for the end of one that has nothing to do: it ends by itself, since nobody is there any more.
    pub(super) async fn finish(self) -> io::Result<ExitStatus> {
        let Self { stream, child, .. } = self;
        drop(stream);
        child.wait().await
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
