//! [`Child`]: a process that was started, its end, and the pipes to it.

mod communicate;
mod stdio;

use std::future::poll_fn;
use std::io;
use std::process::{ExitStatus, Output};
use std::time::Duration;

use asyncio_base::debug;
use asyncio_base::shim::Arc;
#[cfg(unix)]
use asyncio_signal::unix::SignalKind;
use asyncio_tasks::debug::report_mistake;
use asyncio_tasks::timeout;

use crate::process::{Process, Waits};
use communicate::Talk;

pub use stdio::{ChildStderr, ChildStdin, ChildStdout};

/// A process that was started: asyncio's `Process`.
///
/// Dropped before it has ended it goes on, unless [`kill_on_drop`](crate::Command::kill_on_drop) says otherwise. However that is, it is reaped: by the loop where it was
/// waited for or dropped, as soon as that is turned, and by a thread of the process once that is closed. Until then, and no longer, one that has ended is a zombie.
///
/// Its end is waited for by the loop where it is first waited for, by a descriptor of the process where there is such (Linux), without a thread.
///
/// # Examples
///
/// ```
/// use asyncio_process::{Command, Stdio};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let mut child = Command::new("tr")
///         .args(["a-z", "A-Z"])
///         .stdin(Stdio::piped())
///         .stdout(Stdio::piped())
///         .spawn()?;
///     let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
///     stdin.write_all(b"text").await?;
///     drop(stdin);
///     let mut text = String::new();
///     stdout.read_to_string(&mut text).await?;
///     assert_eq!(text, "TEXT");
///     assert!(child.wait().await?.success());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Child {
    /// What it reads, if that is a pipe, and was not taken.
    pub stdin: Option<ChildStdin>,
    /// What it writes, if that is a pipe, and was not taken.
    pub stdout: Option<ChildStdout>,
    /// What it writes about what goes wrong, if that is a pipe, and was not taken.
    pub stderr: Option<ChildStderr>,
    process: Arc<Process>,
    talk: Option<Box<Talk>>,
    kill_on_drop: bool,
}

/// What [`Child`] has of them.
pub(crate) type Streams = (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>);

impl Child {
    pub(crate) fn take_streams(child: &mut std::process::Child) -> io::Result<Streams> {
        Ok((
            child.stdin.take().map(ChildStdin::new).transpose()?,
            child.stdout.take().map(ChildStdout::new).transpose()?,
            child.stderr.take().map(ChildStderr::new).transpose()?,
        ))
    }

    pub(crate) fn new(process: Arc<Process>, streams: Streams, kill_on_drop: bool) -> Self {
        let (stdin, stdout, stderr) = streams;
        Self { stdin, stdout, stderr, process, talk: None, kill_on_drop }
    }

    /// Returns its number. Once it has been waited for, the number may be another process's.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it has ended. Any number may wait at once, and each later wait says the same.
    ///
    /// What it reads is closed before, if that is a pipe and still here: a child that waits for the end of it would never end.
    ///
    /// A child that writes more into a pipe than that holds, 64 KiB, does not end before somebody reads it: see [`communicate`](Self::communicate).
    ///
    /// # Errors
    ///
    /// Fails where somebody else in this process has reaped it, with `LoopClosed`, and where the loop cannot wait for it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it; what the child reads stays closed.
    pub async fn wait(&self) -> io::Result<ExitStatus> {
        self.stdin.iter().for_each(ChildStdin::close);
        self.ended().await
    }

    /// The same, and leaves what it reads.
    pub(crate) async fn ended(&self) -> io::Result<ExitStatus> {
        let mut waits = Waits::default();
        poll_fn(|cx| self.process.poll_wait(cx, &mut waits)).await
    }

    /// Says how it has ended, if it has. asyncio's `returncode`.
    ///
    /// # Errors
    ///
    /// Fails where somebody else in this process has reaped it.
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Sends a signal, kill(2); to all of its group where [the command](crate::Command::signal_group) says so.
    ///
    /// # Errors
    ///
    /// Fails with `NotFound` after it has been waited for, with `InvalidInput` for a number that is no signal's, and where this process may not.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_process::Command;
    /// use asyncio_signal::unix::SignalKind;
    /// use std::os::unix::process::ExitStatusExt;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// asyncio_runtime::run(async {
    ///     let child = Command::new("sleep").arg("3600").spawn()?;
    ///     child.send_signal(SignalKind::hangup())?;
    ///     assert_eq!(child.wait().await?.signal(), Some(1));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[cfg(unix)]
    pub fn send_signal(&self, signal: impl Into<SignalKind>) -> io::Result<()> {
        if self.process.send_signal(signal.into().as_raw())? {
            return Ok(());
        }
        let what = format!("process {} has ended, and is not there to be sent a signal", self.id());
        Err(io::Error::new(io::ErrorKind::NotFound, what))
    }

    /// Asks it to end: SIGTERM. On Windows it is ended. One that has ended is fine.
    ///
    /// # Errors
    ///
    /// Fails where this process may not.
    pub fn terminate(&self) -> io::Result<()> {
        self.process.terminate()
    }

    /// Ends it at once: SIGKILL, which it cannot withstand. One that has ended is fine.
    ///
    /// # Errors
    ///
    /// Fails where this process may not.
    pub fn kill(&self) -> io::Result<()> {
        self.process.kill()
    }

    /// Asks it to end, and ends it if it has not after `grace`; waits until it has, as [`wait`](Self::wait) does.
    ///
    /// # Errors
    ///
    /// Fails as [`wait`](Self::wait) and [`kill`](Self::kill) do.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has asked, and does not end what goes on: shield it, or have the child [killed when dropped](crate::Command::kill_on_drop).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_process::Command;
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// asyncio_runtime::run(async {
    ///     let child = Command::new("sleep").arg("3600").spawn()?;
    ///     assert!(!child.stop(Duration::from_secs(5)).await?.success());
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn stop(&self, grace: Duration) -> io::Result<ExitStatus> {
        self.terminate()?;
        if let Ok(ended) = timeout(grace, self.wait()).await {
            return ended;
        }
        self.kill()?;
        self.ended().await
    }

    /// Sends it this, closes what it reads, collects what it writes, and waits until it has ended: all at once, so that neither waits for the other for ever.
    ///
    /// What is no pipe, or was taken, is empty in the result. A child that does not read all of it is no error.
    ///
    /// Pipes that the child has handed on, to a process in the background, end when that has ended; see [`take_collected`](Self::take_collected) for what has come until
    /// then.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` if there is something to send, and no pipe to send it by, or it was sent by a former call already; and as reads, writes and
    /// [`wait`](Self::wait) do.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: what was collected stays in the child, and so does what is still to be sent. The next call, without anything to send, goes on, and
    /// gives everything.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_process::{Command, Stdio};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// asyncio_runtime::run(async {
    ///     let mut child = Command::new("sort").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    ///     let output = child.communicate("b\na\n").await?;
    ///     assert_eq!(output.stdout, b"a\nb\n");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn communicate(&mut self, input: impl AsRef<[u8]>) -> io::Result<Output> {
        self.begin_talk(input.as_ref())?;
        poll_fn(|cx| self.poll_talk(cx)).await?;
        let status = self.ended().await?;
        let (stdout, stderr) = self.take_collected();
        self.talk = None;
        Ok(Output { status, stdout, stderr })
    }

    /// Collects what it writes, and waits until it has ended: [`communicate`](Self::communicate) with nothing to send.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it drops the child, and what was collected with it.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        self.communicate([]).await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.kill_on_drop {
            // Where it may not, as when the child has become another user, it goes on.
            let _ = self.process.kill();
        } else if debug::is_on() && matches!(self.try_wait(), Ok(None)) {
            report_mistake(
                "process",
                format_args!(
                    "child process {} was dropped while it runs: it goes on, and nobody hears of its end; wait for it, or set `kill_on_drop`",
                    self.id()
                ),
            );
        }
        self.process.clone().leave();
    }
}
