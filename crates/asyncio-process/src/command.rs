//! [`Command`]: what is to be started, and how. In the shape of [`std::process::Command`], which does it.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

use asyncio_base::{closed_world, trace};

use crate::child::Child;
use crate::process::{Process, abandon};

/// What is to be started, and how: asyncio's `create_subprocess_exec`, and [`shell`](Self::shell) its `create_subprocess_shell`.
///
/// It has the shape of [`std::process::Command`]. What is not set is as there: a child inherits the environment, the working directory, and the standard streams
/// from [`spawn`](Self::spawn) and [`status`](Self::status); [`output`](Self::output) has pipes for what the child writes, and nothing for it to read.
///
/// A child begins with no signal blocked and with SIGPIPE as by default, whatever this process has. Signals that this process ignores it ignores, too, since a
/// program may be run under `nohup`; those that are handled here are as by default there, signal(7). It has no descriptor but the three standard streams, unless one was
/// opened without "close on exec".
///
/// # Examples
///
/// ```
/// use asyncio_process::Command;
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let output = Command::new("echo").arg("hello").output().await?;
///     assert!(output.status.success());
///     assert_eq!(output.stdout, b"hello\n");
///
///     let status = Command::shell("exit 3").status().await?;
///     assert_eq!(status.code(), Some(3));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Command {
    std: std::process::Command,
    kill_on_drop: bool,
    /// Signals are for all of its group.
    is_group: bool,
    /// Which of the standard streams were set: input, output, error output.
    is_set: [bool; 3],
}

impl Command {
    /// Makes a command of a program, which is searched for in `PATH` if it has no slash.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self::from(std::process::Command::new(program))
    }

    /// Makes a command of a line for the shell: `/bin/sh -c`, or `cmd /D /S /C` on Windows. asyncio's `create_subprocess_shell`.
    ///
    /// What comes from elsewhere must be quoted before it stands in such a line, or else it is a program of its own. It is better handed over by
    /// [`arg`](Self::arg), and the line says `"$1"` (not on Windows).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_process::Command;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// asyncio_runtime::run(async {
    ///     let output = Command::shell("printf '%s' \"$1\" | tr a-z A-Z").args(["sh", "; rm -rf /"]).output().await?;
    ///     assert_eq!(output.stdout, b"; RM -RF /");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn shell(line: impl AsRef<OsStr>) -> Self {
        #[cfg(windows)]
        {
            use std::os::windows::process::CommandExt;
            let mut command = std::process::Command::new("cmd");
            // As it is: cmd has quotes of its own.
            command.args(["/D", "/S", "/C"]).raw_arg("\"").raw_arg(line).raw_arg("\"");
            Self::from(command)
        }
        #[cfg(not(windows))]
        {
            let mut command = Self::new("/bin/sh");
            command.arg("-c").arg(line);
            command
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = S>) -> &mut Self {
        self.std.args(args);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.std.env(key, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        vars: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Self {
        self.std.envs(vars);
        self
    }

    /// Takes a variable out of the environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Has the environment empty, but for what is set afterwards.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// Sets the working directory.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.std.current_dir(dir);
        self
    }

    /// Sets the standard input.
    pub fn stdin(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.is_set[0] = true;
        self.std.stdin(stream);
        self
    }

    /// Sets the standard output.
    pub fn stdout(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.is_set[1] = true;
        self.std.stdout(stream);
        self
    }

    /// Sets the standard error output.
    pub fn stderr(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.is_set[2] = true;
        self.std.stderr(stream);
        self
    }

    /// Sets whether a child that is dropped before it has ended is killed. The default is that it goes on, as in std.
    ///
    /// Either way it is reaped.
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Self {
        self.kill_on_drop = kill_on_drop;
        self
    }

    /// Returns the command that std has of this, to look at.
    pub fn as_std(&self) -> &std::process::Command {
        &self.std
    }

    /// Returns the command that std has of this, for what it has and this has not. Standard streams that are set there are not known here, and
    /// [`output`](Self::output) takes their place: set them here. After it, those that were not set are inherited, whatever std's own methods have for a default.
    pub fn as_std_mut(&mut self) -> &mut std::process::Command {
        &mut self.std
    }

    /// Starts it.
    ///
    /// It is started at once, on this thread, which takes as long as the system needs to load the program.
    ///
    /// # Errors
    ///
    /// Fails where there is no such program, or it cannot be executed, and where the system has not what it takes; the message names the program. Then there is no
    /// child, and no descriptor is left.
    pub fn spawn(&mut self) -> io::Result<Child> {
        closed_world::check("a child process").map_err(|error| self.failed(error))?;
        // What has ended in the meantime has a descriptor that this needs.
        crate::process::reap_some();
        let mut child = self.std.spawn().map_err(|error| self.failed(error))?;
        let streams = match Child::take_streams(&mut child) {
            Ok(streams) => streams,
            Err(error) => {
                abandon(&mut child);
                return Err(self.failed(error));
            }
        };
        trace::debug!("process", "child process {} was started: {:?}", child.id(), self.std.get_program());
        let process = Process::new(child, self.is_group).map_err(|error| self.failed(error))?;
        Ok(Child::new(process, streams, self.kill_on_drop))
    }

    /// Starts it, and waits until it has ended.
    ///
    /// # Errors
    ///
    /// Fails as [`spawn`](Self::spawn) and [`Child::wait`] do.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the child as a dropped [`Child`] is left.
    pub async fn status(&mut self) -> io::Result<ExitStatus> {
        // Not `async move`: the child is made at the first poll, as users of tokio and asyncio expect of a future.
        self.spawn()?.wait().await
    }

    /// Starts it, collects what it writes, and waits until it has ended.
    ///
    /// What is not set otherwise is a pipe for what it writes, and empty for what it reads.
    ///
    /// # Errors
    ///
    /// Fails as [`spawn`](Self::spawn) and [`Child::communicate`] do.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the child as a dropped [`Child`] is left, and what was collected is lost; [`Child::communicate`] keeps it.
    pub async fn output(&mut self) -> io::Result<Output> {
        self.spawn_by([Stdio::null, Stdio::piped, Stdio::piped])?.communicate([]).await
    }

    /// Starts it with pipes for all standard streams that are not set.
    #[cfg(unix)]
    pub(crate) fn spawn_piped(&mut self) -> io::Result<Child> {
        self.spawn_by([Stdio::piped; 3])
    }

    /// Starts it with other defaults of the standard streams.
    fn spawn_by(&mut self, defaults: [fn() -> Stdio; 3]) -> io::Result<Child> {
        let is_set = self.is_set;
        self.set_others(is_set, defaults);
        let spawned = self.spawn();
        self.set_others(is_set, [Stdio::inherit; 3]);
        spawned
    }

    /// Sets the standard streams that were not set by the user.
    fn set_others(&mut self, is_set: [bool; 3], to: [fn() -> Stdio; 3]) {
        let set: [fn(&mut std::process::Command, Stdio) -> &mut std::process::Command; 3] =
            [std::process::Command::stdin, std::process::Command::stdout, std::process::Command::stderr];
        for ((is_set, set), to) in is_set.into_iter().zip(set).zip(to) {
            if !is_set {
                set(&mut self.std, to());
            }
        }
    }

    fn failed(&self, cause: io::Error) -> io::Error {
        io::Error::new(cause.kind(), SpawnError { program: self.std.get_program().to_owned(), cause })
    }
}

/// What Unix has besides.
#[cfg(unix)]
impl Command {
    /// Sets the first argument, which tells the program its name, if that is not to be what it is started by.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        use std::os::unix::process::CommandExt;
        self.std.arg0(arg);
        self
    }

    /// Sets the user that the child is. Where this process may not do that, there is no child.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        use std::os::unix::process::CommandExt;
        self.std.uid(id);
        self
    }

    /// Sets the group of users that the child is of. Where this process may not do that, there is no child.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        use std::os::unix::process::CommandExt;
        self.std.gid(id);
        self
    }

    /// Sets the process group of the child: 0 is one of its own, so that a terminal's Ctrl-C is not for it.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        use std::os::unix::process::CommandExt;
        self.std.process_group(group);
        self
    }

    /// Has the child begin with the three standard streams and no other descriptor: asyncio's `close_fds`, which is its default.
    ///
    /// Here it is not, since what Rust opens is closed by itself where another program begins. This is for what was opened otherwise: by a library of C, or by whoever
    /// has started this process. Where the system has no close_range(2), it is so for the first 65,536. It cannot be taken back, and the child is then made by fork(2), which takes longer the more memory this process has.
    pub fn close_fds(&mut self) -> &mut Self {
        crate::process::close_fds(&mut self.std);
        self
    }

    /// Gives the child a process group of its own, and sends each signal to all of it: to what the child has started, as well, unless that has left the group. This
    /// holds for [`Child::kill`] and its like, and for `kill_on_drop`, for as long as the child itself has not been reaped.
    pub fn signal_group(&mut self, is_group: bool) -> &mut Self {
        self.is_group = is_group;
        if is_group {
            self.process_group(0);
        }
        self
    }
}

impl From<std::process::Command> for Command {
    /// Takes one over. What is set of its standard streams is not known here, and [`output`](Self::output) takes its place, once and for all: set it here.
    fn from(std: std::process::Command) -> Self {
        Self { std, kill_on_drop: false, is_group: false, is_set: [false; 3] }
    }
}

/// Why there is no child.
#[derive(Debug)]
struct SpawnError {
    program: OsString,
    cause: io::Error,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be started: {}", Path::new(&self.program).display(), self.cause)
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}
