//! Framing: messages of a stream of bytes, by a [`Decoder`] and an [`Encoder`], in the shape that users of `tokio-util` know.
//!
//! [`Framed`] makes a [`Stream`](futures_core::Stream) and a [`Sink`](futures_sink::Sink) of anything that has [`futures_io::AsyncRead`] and
//! [`futures_io::AsyncWrite`]; [`FramedRead`] and [`FramedWrite`] do so for one direction, as of a [`StreamReader`](crate::StreamReader) or an owned half.
//! [`LinesCodec`] and [`LengthDelimitedCodec`] are there; what else there is a program has.

mod framed;
mod length_delimited;
mod lines;

pub use framed::{Framed, FramedRead, FramedWrite};
pub use length_delimited::{LengthDelimitedBuilder, LengthDelimitedCodec};
pub use lines::{LinesCodec, LinesCodecError};

#[doc(no_inline)]
pub use bytes::{Bytes, BytesMut};

use std::io;

/// Finds messages in bytes.
pub trait Decoder {
    /// A message.
    type Item;
    /// What may be wrong with the bytes, or with the stream that they come from.
    type Error: From<io::Error>;

    /// Takes the next message out of `src`; `None` where it is not whole yet. It may `reserve` what the rest of it needs.
    ///
    /// # Errors
    ///
    /// Fails where the bytes are no message; then the stream is over.
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error>;

    /// The same, when nothing comes any more. It is called until it gives `None`.
    ///
    /// # Errors
    ///
    /// As there. The default is an error, `UnexpectedEof`, where bytes are left that are no whole message.
    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error> {
        match self.decode(src)? {
            Some(item) => Ok(Some(item)),
            None if src.is_empty() => Ok(None),
            None => {
                let what = format!(
                    "the stream has ended in the midst of a message: {} bytes of it are there",
                    src.len()
                );
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, what).into())
            }
        }
    }
}

/// Makes bytes of messages.
pub trait Encoder<Item> {
    /// What may be wrong with a message, or with the stream that it goes to.
    type Error: From<io::Error>;

    /// Writes a message behind what is in `dst`.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be written; then `dst` is to be as before.
    fn encode(&mut self, item: Item, dst: &mut BytesMut) -> Result<(), Self::Error>;
}
