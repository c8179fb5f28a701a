//! [`Framed`], [`FramedRead`], [`FramedWrite`]: a stream of bytes as a stream of messages.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;

use super::{Decoder, Encoder};
use crate::receive_buffer::{ReceiveBuffer, with_lent};

/// How much one read may bring.
const READ_SIZE: usize = 64 * 1024;
/// More than so much unsent has whoever sends wait.
const HIGH: usize = 64 * 1024;

thread_local! {
    /// Lent for one read: what is not a message yet is copied out, and is little.
    static READING: std::cell::Cell<Option<ReceiveBuffer>> = const { std::cell::Cell::new(None) };
}

/// What has been read and is no message yet.
#[derive(Debug, Default)]
struct Reading {
    buffer: BytesMut,
    has_ended: bool,
    /// The end was told, or an error.
    is_over: bool,
}

impl Reading {
    fn poll_next<R: AsyncRead + Unpin, D: Decoder>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
        decoder: &mut D,
    ) -> Poll<Option<Result<D::Item, D::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let item = loop {
            let decoded = if self.has_ended {
                decoder.decode_eof(&mut self.buffer)
            } else {
                decoder.decode(&mut self.buffer)
            };
            match decoded {
                Ok(None) if self.has_ended => break None,
                Ok(None) => {}
                result => break result.transpose(),
            }
            match ready!(self.poll_fill(cx, io)) {
                Ok(n) => self.has_ended = n == 0,
                Err(error) => break Some(Err(error.into())),
            }
        };
        self.is_over = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }

    fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut R,
    ) -> Poll<io::Result<usize>> {
        with_lent(&READING, READ_SIZE, |lent| {
            let n = ready!(Pin::new(io).poll_read(cx, lent))?;
            self.buffer.extend_from_slice(&lent[..n]);
            Poll::Ready(Ok(n))
        })
    }
}

/// What has been encoded and is not sent.
#[derive(Debug, Default)]
struct Writing {
    buffer: BytesMut,
}

impl Writing {
    fn poll_ready<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
    ) -> Poll<io::Result<()>> {
        if self.buffer.len() < HIGH { Poll::Ready(Ok(())) } else { self.poll_send(cx, io) }
    }

    fn poll_send<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, io: &mut W) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let n = ready!(Pin::new(&mut *io).poll_write(cx, &self.buffer))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.advance(n);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, io))?;
        Pin::new(io).poll_flush(cx)
    }

    fn poll_close<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, io))?;
        Pin::new(io).poll_close(cx)
    }
}

/// A connection whose bytes are messages: a [`Stream`] of those that come, and a [`Sink`] for those that go.
///
/// The stream ends with the first error, and with the connection. The sink keeps up to 64 KiB until it is flushed; `send` flushes.
///
/// # Cancel safety
///
/// Nothing is lost by dropping a `next`: what was read stays here. A message that a `send` was given is sent, in part or whole, by whatever flushes next.
///
/// # Examples
///
/// ```
/// use asyncio_net::UnixStream;
/// use asyncio_net::codec::{Framed, LinesCodec};
/// use futures::{SinkExt, StreamExt};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// asyncio_executor::block_on(async {
///     let (one, other) = UnixStream::pair()?;
///     let (mut one, mut other) = (Framed::new(one, LinesCodec::new()), Framed::new(other, LinesCodec::new()));
///     one.send("a question").await?;
///     assert_eq!(other.next().await.unwrap()?, "a question");
///     other.send("an answer").await?;
///     drop(other);
///     assert_eq!(one.next().await.unwrap()?, "an answer");
///     assert!(one.next().await.is_none());
///     Ok(())
/// })
/// # }
/// ```
pub struct Framed<T, C> {
    io: T,
    codec: C,
    reading: Reading,
    writing: Writing,
}

/// The messages that come, of something that is read.
pub struct FramedRead<T, D> {
    io: T,
    codec: D,
    reading: Reading,
}

/// Messages that go, to something that is written to.
pub struct FramedWrite<T, E> {
    io: T,
    codec: E,
    writing: Writing,
}

/// What all three have.
macro_rules! impl_framed {
    ($type:ident, $name:literal, $($field:ident),*) => {
        impl<T, C> $type<T, C> {
            /// Puts a codec on a stream of bytes.
            pub fn new(io: T, codec: C) -> Self {
                Self { io, codec, $($field: Default::default()),* }
            }

            /// Returns what is below.
            pub fn get_ref(&self) -> &T {
                &self.io
            }

            /// Returns what is below. Bytes that are read or written there are none of the codec's.
            pub fn get_mut(&mut self) -> &mut T {
                &mut self.io
            }

            /// Takes out what is below; bytes that were read ahead, or not sent, are lost.
            pub fn into_inner(self) -> T {
                self.io
            }

            /// Returns the codec.
            pub fn codec(&self) -> &C {
                &self.codec
            }

            /// Returns the codec, to change it between two messages.
            pub fn codec_mut(&mut self) -> &mut C {
                &mut self.codec
            }
        }

        /// Without the bytes, which are nobody's who looks at a program.
        impl<T: fmt::Debug, C: fmt::Debug> fmt::Debug for $type<T, C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($name).field("io", &self.io).field("codec", &self.codec).finish_non_exhaustive()
            }
        }
    };
}

impl_framed!(Framed, "Framed", reading, writing);
impl_framed!(FramedRead, "FramedRead", reading);
impl_framed!(FramedWrite, "FramedWrite", writing);

macro_rules! impl_stream {
    ($type:ident) => {
        impl<T: AsyncRead + Unpin, D: Decoder + Unpin> Stream for $type<T, D> {
            type Item = Result<D::Item, D::Error>;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                let this = self.get_mut();
                this.reading.poll_next(cx, &mut this.io, &mut this.codec)
            }
        }
    };
}

impl_stream!(Framed);
impl_stream!(FramedRead);

macro_rules! impl_sink {
    ($type:ident) => {
        impl<T: AsyncWrite + Unpin, I, E: Encoder<I> + Unpin> Sink<I> for $type<T, E> {
            type Error = E::Error;

            fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
                let this = self.get_mut();
                this.writing.poll_ready(cx, &mut this.io).map_err(Into::into)
            }

            fn start_send(self: Pin<&mut Self>, item: I) -> Result<(), Self::Error> {
                let this = self.get_mut();
                this.codec.encode(item, &mut this.writing.buffer)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
                let this = self.get_mut();
                this.writing.poll_flush(cx, &mut this.io).map_err(Into::into)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
                let this = self.get_mut();
                this.writing.poll_close(cx, &mut this.io).map_err(Into::into)
            }
        }
    };
}

impl_sink!(Framed);
impl_sink!(FramedWrite);
