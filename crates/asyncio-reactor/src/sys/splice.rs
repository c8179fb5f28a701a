//! Bytes that the kernel moves by itself: sendfile(2), splice(2). Neither can be asked not to raise SIGPIPE where the peer is gone, so it is kept from this thread meanwhile.

#![expect(unsafe_code, reason = "the signal mask of a thread")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::ptr;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::pipe::{SpliceFlags, splice};
use socket2::Socket;

/// sendfile(2). `Unsupported` for a file that cannot be sent so: a pipe, a device, some of `/proc`.
pub(crate) fn send_file(
    socket: &Socket,
    file: BorrowedFd<'_>,
    offset: &mut u64,
    count: usize,
) -> io::Result<usize> {
    without_sigpipe(count, || rustix::fs::sendfile(socket, file, Some(offset), count)).map_err(or_unsupported)
}

/// splice(2), from the socket. `Unsupported` where there are bytes that it does not pass on: it stops for ever in front of the urgent mark of a TCP stream, and says that nothing is there, or
/// even that this is the end. Whether there is such a mark is not always known before, so it costs one call more to learn that there is nothing.
pub(crate) fn recv_to_pipe(socket: &Socket, pipe: BorrowedFd<'_>, count: usize) -> io::Result<usize> {
    // Some may have come since the first time.
    for _ in 0..2 {
        let moved = splice(socket, None, pipe, None, count, SpliceFlags::NONBLOCK);
        let is_nothing = matches!(moved, Ok(0) | Err(Errno::AGAIN));
        if !is_nothing || !has_bytes(socket)? {
            return moved.map_err(or_unsupported);
        }
    }
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether a receive would give some. What has befallen the socket meanwhile is told here, and nowhere else.
fn has_bytes(socket: &Socket) -> io::Result<bool> {
    match rustix::net::recv(socket, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((n, _)) => Ok(n > 0),
        Err(Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// splice(2), to the socket.
pub(crate) fn send_from_pipe(socket: &Socket, pipe: BorrowedFd<'_>, count: usize) -> io::Result<usize> {
    let moved = without_sigpipe(count, || splice(pipe, None, socket, None, count, SpliceFlags::NONBLOCK));
    moved.map_err(or_unsupported)
}

fn or_unsupported(error: Errno) -> io::Error {
    match error {
        Errno::INVAL | Errno::NOSYS | Errno::SPIPE | Errno::OPNOTSUPP => io::ErrorKind::Unsupported.into(),
        error => error.into(),
    }
}

/// Moves up to `count` bytes, which may raise SIGPIPE in this thread, and takes it away again. It may come with `EPIPE`, and also where only some of the bytes went before the peer
/// was gone: the kernel moves them in pieces.
fn without_sigpipe(count: usize, f: impl FnOnce() -> Result<usize, Errno>) -> Result<usize, Errno> {
    let sigpipe = only_sigpipe();
    let mut before = MaybeUninit::uninit();
    // SAFETY: both are sets of signals, the second is written to. It fails only for a `how` that does not exist.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &sigpipe, before.as_mut_ptr()) };
    // SAFETY: it has been written.
    let before = unsafe { before.assume_init() };
    // SAFETY: a set of signals, and a signal.
    let was_blocked = unsafe { libc::sigismember(&before, libc::SIGPIPE) } == 1;
    // One that waits already is somebody else's, and stays.
    let was_pending = was_blocked && is_sigpipe_pending();
    let result = f();
    let may_have_come = result.map_or_else(|error| error == Errno::PIPE, |n| n < count);
    if may_have_come && !was_pending {
        take(&sigpipe);
    }
    if !was_blocked {
        // SAFETY: a set of signals; the old one is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut()) };
    }
    result
}

/// Takes the signal, if it is there. Another process's is sent again: it is for the program.
fn take(sigpipe: &libc::sigset_t) {
    let (mut about, at_once) = (MaybeUninit::uninit(), libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: a set of signals, a place for what is known of the one that is taken, and a time.
    if unsafe { libc::sigtimedwait(sigpipe, about.as_mut_ptr(), &at_once) } != libc::SIGPIPE {
        return;
    }
    // SAFETY: it has been written.
    let about: libc::siginfo_t = unsafe { about.assume_init() };
    // SAFETY: this signal says who has sent it; what the kernel raises says that we have.
    let sender = unsafe { about.si_pid() };
    // SAFETY: calls that take and give numbers.
    let ours = unsafe { libc::getpid() };
    if sender != ours {
        // SAFETY: the same.
        unsafe { libc::kill(ours, libc::SIGPIPE) };
    }
}

fn only_sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the whole set is written.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it has been written, and the signal is one.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE) };
    // SAFETY: the same.
    unsafe { set.assume_init() }
}

fn is_sigpipe_pending() -> bool {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the whole set is written.
    unsafe { libc::sigpending(set.as_mut_ptr()) };
    // SAFETY: it has been written, and the signal is one.
    unsafe { libc::sigismember(set.as_ptr(), libc::SIGPIPE) == 1 }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    /// The error of a socket is told once: who looks and does not pass it on makes a clean end of a reset.
    #[test]
    fn a_look_tells_of_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = Socket::from(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let theirs = Socket::from(listener.accept().unwrap().0);
        assert!(!has_bytes(&ours).unwrap());
        theirs.set_linger(Some(Duration::ZERO)).unwrap();
        drop(theirs);
        assert_eq!(has_bytes(&ours).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
