//! [`Reactor`]: what a socket is, and how to wait; and which reactor is entered on this thread.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::fmt::{self, Debug};
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use asyncio_base::shim::Arc;
use socket2::{Domain, Protocol, Type};

use crate::driver;
use crate::os_socket::OsSocket;
use crate::readiness::Readiness;
use crate::socket::Socket;
use crate::sys::BorrowedDescriptor;

/// What a socket is, and how to wait for events. The seam between a loop and its operating system.
///
/// A minimal reactor has `turn`, `notify`, `readiness` and `close`; the sockets of the operating system then work on it.
/// One that *is* a world of its own (a simulation, a completion ring) overrides [`socket`](Self::socket) and [`adopt`](Self::adopt).
///
/// Laws, checked by `conformance::reactor`:
/// 1. Only one thread at a time calls [`turn`](Self::turn). Everything else may be called from any thread, also during a turn.
/// 2. A turn wakes the wakers of what happened, holding no lock, and then returns. It returns early, or at once, if
///    [`notify`](Self::notify) was called since the last turn returned.
/// 3. A notify costs no system call unless a turn is waiting (or [`prepare_foreign_wait`](Self::prepare_foreign_wait) was called).
/// 4. Each descriptor has the laws of [`Readiness`]; each socket those of [`Socket`].
/// 5. After [`close`](Self::close) everything that waits is woken and gets `LoopClosed`, and so does what waits later.
pub trait Reactor: Debug + Send + Sync + 'static {
    /// Waits for events, at most for `wait` (`None` is for ever), and wakes what they concern. Returns how many there were.
    ///
    /// # Errors
    ///
    /// Fails only where waiting cannot work at all.
    ///
    /// # Panics
    ///
    /// Goes on with the first panic of a waker, after all events have been handed on.
    fn turn(&self, wait: Option<Duration>) -> io::Result<usize>;

    /// Makes the present or the next [`turn`](Self::turn) return.
    fn notify(&self);

    /// Watches a descriptor, which must stay open until the result is deregistered or dropped.
    ///
    /// If it does not, nothing unsafe happens: its waiters stay silent, and an event never reaches the next owner of the number.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed` after `close`, and with what the system says of a descriptor that cannot be watched.
    fn readiness(&self, source: BorrowedDescriptor<'_>) -> io::Result<Readiness>;

    /// Closes the reactor (law 5).
    fn close(&self);

    /// Makes a socket of this reactor's world.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    fn socket(&self, domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Arc<dyn Socket>> {
        OsSocket::new(domain, ty, protocol).map(|socket| Arc::new(socket) as Arc<dyn Socket>)
    }

    /// Makes two Unix sockets of this reactor's world that are connected with each other (socketpair(2)).
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and with `Unsupported` where there are no Unix sockets.
    fn socket_pair(&self, ty: Type) -> io::Result<(Arc<dyn Socket>, Arc<dyn Socket>)> {
        os_pair(ty)
    }

    /// Takes over a socket of the operating system.
    ///
    /// # Errors
    ///
    /// Fails where the socket cannot be made non-blocking, and with `Unsupported` in a world without real sockets.
    fn adopt(&self, socket: socket2::Socket) -> io::Result<Arc<dyn Socket>> {
        OsSocket::adopt(socket).map(|socket| Arc::new(socket) as Arc<dyn Socket>)
    }

    /// Returns what only some reactors can do (files on io_uring), by the type of that extension.
    fn extension(&self, id: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        let _ = id;
        None
    }

    /// Returns a descriptor that is readable when a turn has something to do, where there is one. For guest mode.
    fn descriptor(&self) -> Option<BorrowedDescriptor<'_>> {
        None
    }

    /// Says that somebody else will wait on [`descriptor`](Self::descriptor) until the next turn, so that a notify must reach it.
    fn prepare_foreign_wait(&self) {}
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Reactor>>> = const { RefCell::new(None) };
}

/// Makes `reactor` the one to which sockets bind that first wait on this thread, until the guard is dropped.
///
/// For those who write a loop.
#[must_use = "the reactor is left when the guard is dropped"]
pub fn enter(reactor: Arc<dyn Reactor>) -> EnterGuard {
    // At the end of the thread the thread-local may be gone; then nothing can be entered, or looked up.
    let former = CURRENT.try_with(|current| current.replace(Some(reactor))).ok().flatten();
    EnterGuard { former, _not_send: PhantomData }
}

/// Leaves the reactor that [`enter`] entered; the former one comes back.
pub struct EnterGuard {
    former: Option<Arc<dyn Reactor>>,
    /// It belongs to its thread.
    _not_send: PhantomData<*mut ()>,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        // The thread-local may be gone at the end of the thread; then there is nothing to leave.
        let _ = CURRENT.try_with(|current| current.replace(self.former.take()));
    }
}

impl Debug for EnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterGuard").finish_non_exhaustive()
    }
}

/// Returns the reactor that is entered on this thread.
pub fn entered() -> Option<Arc<dyn Reactor>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Returns the reactor that is entered on this thread, or else the fallback, whose thread is started if need be.
///
/// # Errors
///
/// Fails where the fallback cannot be started: no descriptor or no thread is to be had.
pub fn current() -> io::Result<Arc<dyn Reactor>> {
    entered().map_or_else(driver::reactor, Ok)
}

/// Makes a socket of the entered reactor's world, or of the operating system where none is entered.
///
/// It binds to a reactor at its first operation that has to wait, so it may be made before the loop runs.
///
/// # Errors
///
/// Fails with what the system says.
pub fn socket(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Arc<dyn Socket>> {
    match entered() {
        Some(reactor) => reactor.socket(domain, ty, protocol),
        None => OsSocket::new(domain, ty, protocol).map(|socket| Arc::new(socket) as Arc<dyn Socket>),
    }
}

/// Makes two Unix sockets that are connected with each other: of the entered reactor's world, or of the operating system where none is entered.
///
/// # Errors
///
/// Fails with what the system says, and with `Unsupported` where there are no Unix sockets.
pub fn socket_pair(ty: Type) -> io::Result<(Arc<dyn Socket>, Arc<dyn Socket>)> {
    match entered() {
        Some(reactor) => reactor.socket_pair(ty),
        None => os_pair(ty),
    }
}

#[cfg(unix)]
fn os_pair(ty: Type) -> io::Result<(Arc<dyn Socket>, Arc<dyn Socket>)> {
    let (one, other) = socket2::Socket::pair(Domain::UNIX, ty, None)?;
    let adopted = |socket| OsSocket::adopt(socket).map(|socket| Arc::new(socket) as Arc<dyn Socket>);
    Ok((adopted(one)?, adopted(other)?))
}

#[cfg(not(unix))]
fn os_pair(_: Type) -> io::Result<(Arc<dyn Socket>, Arc<dyn Socket>)> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system makes no pairs of Unix sockets"))
}

/// Takes over a socket of the operating system, and makes it non-blocking.
///
/// # Errors
///
/// Fails where the socket cannot be made non-blocking, and where the entered reactor has no real sockets.
pub fn adopt(socket: socket2::Socket) -> io::Result<Arc<dyn Socket>> {
    match entered() {
        Some(reactor) => reactor.adopt(socket),
        None => OsSocket::adopt(socket).map(|socket| Arc::new(socket) as Arc<dyn Socket>),
    }
}
