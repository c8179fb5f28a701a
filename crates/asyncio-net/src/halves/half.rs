//! One direction of a stream: a socket and the place of whoever waits for that direction.

use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context, Poll};

use asyncio_base::shim::Arc;
use asyncio_reactor::{BorrowedDescriptor, RecvMsg, SendMsg, Socket, Waiter};

/// One direction of a stream. Reading and writing each have one, so that two tasks may use the two directions.
#[derive(Debug)]
pub(crate) struct Half {
    pub(crate) socket: Arc<dyn Socket>,
    waiter: Waiter,
}

impl Half {
    #[inline]
    pub(crate) fn new(socket: Arc<dyn Socket>) -> Self {
        Self { socket, waiter: Waiter::new() }
    }

    #[inline]
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_recv_one(cx, &mut self.waiter, buf).map_ok(|received| received.n)
    }

    #[inline]
    pub(crate) fn poll_read_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let received = self.socket.poll_recv(cx, &mut self.waiter, &mut RecvMsg::new(bufs));
        received.map_ok(|received| received.n)
    }

    pub(crate) fn poll_peek(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut bufs = [IoSliceMut::new(buf)];
        let mut message = RecvMsg { peek: true, ..RecvMsg::new(&mut bufs) };
        self.socket.poll_recv(cx, &mut self.waiter, &mut message).map_ok(|received| received.n)
    }

    #[inline]
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_send_one(cx, &mut self.waiter, buf)
    }

    #[inline]
    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_send(cx, &mut self.waiter, &SendMsg::new(bufs))
    }

    /// As [`Socket::poll_recv_to_pipe`].
    pub(crate) fn poll_recv_to_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedDescriptor<'_>,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_recv_to_pipe(cx, &mut self.waiter, pipe, count)
    }

    /// As [`Socket::poll_send_from_pipe`].
    pub(crate) fn poll_send_from_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedDescriptor<'_>,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_send_from_pipe(cx, &mut self.waiter, pipe, count)
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(cx, &mut self.waiter)
    }

    #[cfg(feature = "tls")]
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_end(cx, &mut self.waiter)
    }

    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_close(cx, &mut self.waiter)
    }
}

/// Implements `futures_io::AsyncRead` by a field or method that gives a [`Half`].
macro_rules! impl_async_read {
    ($type:ty, $half:ident $(, $parameter:ident)?) => {
        impl$(<$parameter>)? futures_io::AsyncRead for $type {
            #[inline]
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.get_mut().$half.poll_read(cx, buf)
            }

            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.get_mut().$half.poll_read_vectored(cx, bufs)
            }
        }
    };
}

/// Implements `futures_io::AsyncWrite` by a field that gives a [`Half`].
macro_rules! impl_async_write {
    ($type:ty, $half:ident $(, $parameter:ident)?) => {
        impl$(<$parameter>)? futures_io::AsyncWrite for $type {
            #[inline]
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.get_mut().$half.poll_write(cx, buf)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                self.get_mut().$half.poll_write_vectored(cx, bufs)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.get_mut().$half.poll_flush(cx)
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.get_mut().$half.poll_close(cx)
            }
        }
    };
}

pub(crate) use {impl_async_read, impl_async_write};
