//! [`LengthDelimitedCodec`]: a message is so many bytes, behind a head that says how many.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Decoder, Encoder};

/// Messages with their length in front: by default in four bytes, the highest first, and up to 8 MiB.
///
/// # Examples
///
/// ```
/// use asyncio_net::codec::{BytesMut, Decoder, LengthDelimitedCodec};
///
/// let mut codec = LengthDelimitedCodec::builder().length_field_length(2).little_endian().build();
/// let mut bytes = BytesMut::from(&b"\x05\x00hello\x03\x00by"[..]);
/// assert_eq!(codec.decode(&mut bytes)?.unwrap(), "hello");
/// assert_eq!(codec.decode(&mut bytes)?, None, "that is not whole yet");
/// bytes.extend_from_slice(b"e");
/// assert_eq!(codec.decode(&mut bytes)?.unwrap(), "bye");
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LengthDelimitedCodec {
    options: LengthDelimitedBuilder,
}

/// How the length of a message is told. Made by [`LengthDelimitedCodec::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct LengthDelimitedBuilder {
    offset: usize,
    length: usize,
    adjustment: isize,
    skip: Option<usize>,
    frame_max: usize,
    is_little_endian: bool,
}

/// What `tokio-util` has, and what nobody's memory minds.
const FRAME_MAX: usize = 8 * 1024 * 1024;
const RESERVED_AT_ONCE: usize = 64 * 1024;

impl LengthDelimitedCodec {
    /// The defaults.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets more than those.
    pub fn builder() -> LengthDelimitedBuilder {
        LengthDelimitedBuilder {
            offset: 0,
            length: 4,
            adjustment: 0,
            skip: None,
            frame_max: FRAME_MAX,
            is_little_endian: false,
        }
    }

    /// Sets how long a message may be from now on, in bytes, without its head.
    pub fn set_max_frame_length(&mut self, length: usize) {
        self.options.frame_max = length;
    }

    /// What the head says of the bytes behind it.
    fn length_of(&self, head: &[u8]) -> io::Result<usize> {
        let field = &head[self.options.offset..];
        let said = if self.options.is_little_endian {
            let mut field = field;
            field.get_uint_le(self.options.length)
        } else {
            let mut field = field;
            field.get_uint(self.options.length)
        };
        let length = i128::from(said) + self.options.adjustment as i128;
        self.check(length)
    }

    fn check(&self, length: i128) -> io::Result<usize> {
        // With its head it must be no more than there is memory at all.
        let max = self.options.frame_max.min(usize::MAX - self.options.head());
        usize::try_from(length).ok().filter(|length| *length <= max).ok_or_else(|| {
            let what = format!("a message of {length} bytes, where {max} are allowed");
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }
}

impl Default for LengthDelimitedCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl LengthDelimitedBuilder {
    /// Sets in how many bytes the length is told, 1 to 8. The default is 4.
    ///
    /// # Panics
    ///
    /// Panics if it is another number.
    pub fn length_field_length(mut self, bytes: usize) -> Self {
        assert!((1..=8).contains(&bytes), "a length in {bytes} bytes");
        self.length = bytes;
        self
    }

    /// Sets how many bytes stand before the length. The default is none.
    pub fn length_field_offset(mut self, bytes: usize) -> Self {
        self.offset = bytes;
        self
    }

    /// Sets what is to be added to the length that is told, to get that of the bytes behind it: negative where it counts the head too.
    pub fn length_adjustment(mut self, bytes: isize) -> Self {
        self.adjustment = bytes;
        self
    }

    /// Sets how many bytes of head and message are passed over. The default is the whole head; 0 leaves it in front of the message.
    pub fn num_skip(mut self, bytes: usize) -> Self {
        self.skip = Some(bytes);
        self
    }

    /// Sets how long a message may be, in bytes, without its head. The default is 8 MiB.
    pub fn max_frame_length(mut self, bytes: usize) -> Self {
        self.frame_max = bytes;
        self
    }

    /// Has the lowest byte of the length come first. The default is the highest, as networks have it.
    pub fn little_endian(mut self) -> Self {
        self.is_little_endian = true;
        self
    }

    /// Makes it.
    pub fn build(self) -> LengthDelimitedCodec {
        LengthDelimitedCodec { options: self }
    }

    fn head(&self) -> usize {
        self.offset + self.length
    }
}

impl Decoder for LengthDelimitedCodec {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let head = self.options.head();
        if src.len() < head {
            return Ok(None);
        }
        let whole = head + self.length_of(&src[..head])?;
        if src.len() < whole {
            // Not all of it at once: a head is cheap to send.
            src.reserve((whole - src.len()).min(RESERVED_AT_ONCE));
            return Ok(None);
        }
        let mut message = src.split_to(whole);
        message.advance(self.options.skip.unwrap_or(head).min(whole));
        Ok(Some(message))
    }
}

impl Encoder<Bytes> for LengthDelimitedCodec {
    type Error = io::Error;

    /// Writes the length and the message. What stands before the length, if something is to, is a part of the message's own encoding: only an offset of 0 can be written.
    fn encode(&mut self, message: Bytes, dst: &mut BytesMut) -> io::Result<()> {
        let options = &self.options;
        if options.offset > 0 {
            let what = "a length that stands behind something else can be read, and not written";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        self.check(message.len() as i128)?;
        let said = message.len() as i128 - options.adjustment as i128;
        let most = (1_i128 << (8 * options.length)) - 1;
        let said = u64::try_from(said).ok().filter(|said| i128::from(*said) <= most).ok_or_else(|| {
            let what =
                format!("a message of {} bytes has no length in {} bytes", message.len(), options.length);
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })?;
        dst.reserve(options.length + message.len());
        if options.is_little_endian {
            dst.put_uint_le(said, options.length);
        } else {
            dst.put_uint(said, options.length);
        }
        dst.extend_from_slice(&message);
        Ok(())
    }
}
