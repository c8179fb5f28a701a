//! [`LinesCodec`]: a message is a line.

use std::error::Error;
use std::fmt;
use std::io;

use bytes::{Buf, BytesMut};

use super::{Decoder, Encoder};

/// Lines of UTF-8, that end with `\n` or `\r\n`; what stands behind the last one is a line too.
#[derive(Clone, Debug)]
pub struct LinesCodec {
    length_max: usize,
    /// Up to here there is no newline.
    passed: usize,
}

impl LinesCodec {
    /// Takes lines of any length. A peer can fill the memory with one that does not end: [`with_max_length`](Self::with_max_length) is for peers who are not trusted.
    pub const fn new() -> Self {
        Self::with_max_length(usize::MAX)
    }

    /// Takes lines of up to so many bytes, without their ends.
    pub const fn with_max_length(length_max: usize) -> Self {
        Self { length_max, passed: 0 }
    }

    /// Takes a line of `length` bytes out, whose end has `newline` bytes.
    fn take(&mut self, src: &mut BytesMut, length: usize, newline: usize) -> Result<String, LinesCodecError> {
        self.passed = 0;
        let line = src.split_to(length);
        src.advance(newline);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.len() > self.length_max {
            return Err(LinesCodecError::MaxLineLengthExceeded { length_max: self.length_max });
        }
        String::from_utf8(line.to_vec())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error).into())
    }
}

impl Default for LinesCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for LinesCodec {
    type Item = String;
    type Error = LinesCodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<String>, LinesCodecError> {
        if let Some(at) = memchr::memchr(b'\n', &src[self.passed..]) {
            let length = self.passed + at;
            return self.take(src, length, 1).map(Some);
        }
        self.passed = src.len();
        // A `\r` at the end may be the beginning of a newline.
        if src.len() > self.length_max.saturating_add(1) {
            return Err(LinesCodecError::MaxLineLengthExceeded { length_max: self.length_max });
        }
        Ok(None)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<String>, LinesCodecError> {
        match self.decode(src)? {
            None if !src.is_empty() => {
                let length = src.len();
                self.take(src, length, 0).map(Some)
            }
            line => Ok(line),
        }
    }
}

impl<T: AsRef<str>> Encoder<T> for LinesCodec {
    type Error = LinesCodecError;

    /// Writes the line and `\n`. One that has newlines inside is several to whoever reads them.
    fn encode(&mut self, line: T, dst: &mut BytesMut) -> Result<(), LinesCodecError> {
        let line = line.as_ref();
        dst.reserve(line.len() + 1);
        dst.extend_from_slice(line.as_bytes());
        dst.extend_from_slice(b"\n");
        Ok(())
    }
}

/// What may be wrong with lines.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinesCodecError {
    /// A line is longer than it may be.
    MaxLineLengthExceeded {
        /// As long as it may be, in bytes.
        length_max: usize,
    },
    /// The stream has failed, or a line is not UTF-8.
    Io(io::Error),
}

impl From<io::Error> for LinesCodecError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for LinesCodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxLineLengthExceeded { length_max } => {
                write!(f, "a line is longer than {length_max} bytes")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl Error for LinesCodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::MaxLineLengthExceeded { .. } => None,
        }
    }
}
