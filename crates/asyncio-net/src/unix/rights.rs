//! Descriptors that go along with bytes: `SCM_RIGHTS` (unix(7)).

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{BorrowedFd, OwnedFd};

use asyncio_reactor::{Ancillary, RecvMsg, SendMsg, Socket, Waiter};

/// Sends some bytes, at least one, and the descriptors with the first of them.
pub(super) async fn send(socket: &dyn Socket, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if buf.is_empty() && !fds.is_empty() {
        let error = "descriptors without a byte to go with: they would be lost";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    let mut waiter = Waiter::new();
    let bufs = [IoSlice::new(buf)];
    let message = SendMsg { rights: fds, ..SendMsg::new(&bufs) };
    poll_fn(|cx| socket.poll_send(cx, &mut waiter, &message)).await
}

/// Receives bytes, and the descriptors that come with them: all of them, or none and an error.
pub(super) async fn recv(socket: &dyn Socket, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let (mut waiter, mut ancillary) = (Waiter::new(), Ancillary::default());
    let mut bufs = [IoSliceMut::new(buf)];
    let mut message = RecvMsg { ancillary: Some(&mut ancillary), ..RecvMsg::new(&mut bufs) };
    let received = poll_fn(|cx| socket.poll_recv(cx, &mut waiter, &mut message)).await?;
    if received.is_ancillary_truncated {
        // Those that did come are closed here: nobody can tell which is which.
        let error =
            "not all that came along could be taken: this process may have as many descriptors as it can";
        return Err(io::Error::other(error));
    }
    Ok((received.n, ancillary.rights))
}
