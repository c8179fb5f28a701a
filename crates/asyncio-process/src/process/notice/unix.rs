//! By a descriptor of the process, pidfd_open(2), or else by SIGCHLD, after which each child is looked at.

use std::io;
use std::process::{Child, ExitStatus};
use std::task::{Context, Poll, ready};

#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;

#[cfg(target_os = "linux")]
use asyncio_reactor::{Direction, Waiter, Watched};
use asyncio_reactor::{SecondTime, SignalSource, fallback};

/// How one hears that a child has ended.
pub(crate) enum Notice {
    #[cfg(target_os = "linux")]
    Descriptor(Watched<OwnedFd>),
    Signal,
}

/// One party's place among those that wait for a child.
#[derive(Default)]
pub(crate) struct Waits {
    #[cfg(target_os = "linux")]
    waiter: Waiter,
    /// Where it waits elsewhere than all others do.
    #[cfg(target_os = "linux")]
    own: Option<Watched<OwnedFd>>,
    signal: Option<SignalSource>,
}

impl Notice {
    #[cfg(target_os = "linux")]
    pub(crate) fn new(child: &Child) -> io::Result<Self> {
        use rustix::io::Errno;
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let pid = Pid::from_child(child);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(Self::Descriptor(Watched::new(descriptor))),
            // An old kernel, or a sandbox; or somebody else has reaped it already, which the first look tells.
            Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::SRCH) => Ok(Self::Signal),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new(_child: &Child) -> io::Result<Self> {
        Ok(Self::Signal)
    }

    /// Waits until `look` sees it.
    pub(crate) fn poll(
        &self,
        cx: &mut Context<'_>,
        waits: &mut Waits,
        look: impl Fn() -> io::Result<Option<ExitStatus>>,
    ) -> Poll<io::Result<ExitStatus>> {
        #[cfg(target_os = "linux")]
        if let Self::Descriptor(watched) = self {
            let watched = waits.own.as_ref().unwrap_or(watched);
            return watched.poll_io(cx, &mut waits.waiter, Direction::Read, |_| {
                look()?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
            });
        }
        loop {
            // Listening comes first: a child that ends after the look is heard of.
            let signal = waits.listen()?;
            if let Some(status) = look()? {
                waits.signal = None;
                return Poll::Ready(Ok(status));
            }
            ready!(signal.poll_recv(cx))?;
        }
    }

    /// Sends a signal by the descriptor, which is of this process and of no later one that has its number. `None` where there is none, or the signal has no name.
    pub(crate) fn send_signal(&self, signal: i32) -> Option<io::Result<()>> {
        #[cfg(target_os = "linux")]
        if let (Self::Descriptor(watched), Some(signal)) =
            (self, rustix::process::Signal::from_named_raw(signal))
        {
            let sent = rustix::process::pidfd_send_signal(watched.get_ref(), signal);
            // Old kernels have the descriptor, and not this; and a sandbox may refuse it.
            let is_refused = matches!(sent, Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM));
            return (!is_refused).then(|| sent.map_err(io::Error::from));
        }
        let _ = signal;
        None
    }

    /// Has these wait by the fallback's thread from now on.
    pub(crate) fn move_to_fallback(&self, waits: &mut Waits) -> io::Result<()> {
        *waits = Waits::default();
        let reactor = fallback()?;
        #[cfg(target_os = "linux")]
        if let Self::Descriptor(watched) = self {
            let own = Watched::new(watched.get_ref().try_clone()?);
            own.bind(&*reactor)?;
            waits.own = Some(own);
            return Ok(());
        }
        waits.listen()?.bind(&*reactor)
    }
}

impl Waits {
    fn listen(&mut self) -> io::Result<&mut SignalSource> {
        if self.signal.is_none() {
            self.signal = Some(SignalSource::new(libc::SIGCHLD, SecondTime::IsReceived)?);
        }
        Ok(self.signal.as_mut().expect("it was made above"))
    }
}
