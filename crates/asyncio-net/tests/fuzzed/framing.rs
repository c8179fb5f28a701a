//! Messages are what the bytes say, however these are cut; and what was encoded is decoded as it was.

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asyncio_net::TcpStream;
use asyncio_net::codec::{
    BytesMut, Decoder, Encoder, FramedRead, FramedWrite, LengthDelimitedBuilder, LengthDelimitedCodec,
    LinesCodec,
};
use futures::{SinkExt, StreamExt};

use crate::scripted::Scripted;

/// Each message, and whether an error comes behind them.
type Messages<T> = (Vec<T>, bool);

fn piece(pieces: &[u8], n: usize) -> usize {
    pieces.get(n % pieces.len().max(1)).map_or(1, |piece| usize::from(*piece % 32).max(1))
}

/// What comes out of a stream whose bytes come in pieces.
fn decoded<D: Decoder + Unpin>(decoder: D, mut bytes: &[u8], pieces: &[u8]) -> Messages<D::Item> {
    let socket = Arc::new(Scripted::default());
    let mut framed = FramedRead::new(TcpStream::from_socket(socket.clone()), decoder);
    let mut cx = Context::from_waker(Waker::noop());
    let mut messages = Vec::new();
    for n in 0.. {
        while let Poll::Ready(item) = framed.poll_next_unpin(&mut cx) {
            match item {
                Some(Ok(message)) => messages.push(message),
                end => {
                    let again = framed.poll_next_unpin(&mut cx);
                    assert!(matches!(again, Poll::Ready(None)), "the end is the end");
                    return (messages, end.is_some());
                }
            }
        }
        if bytes.is_empty() {
            socket.end();
        } else {
            let (piece, rest) = bytes.split_at(piece(pieces, n).min(bytes.len()));
            socket.receive(piece);
            bytes = rest;
        }
    }
    unreachable!("the stream ends")
}

/// What a socket is sent that has room for a piece at a time.
fn encoded<E, T>(encoder: E, messages: impl Iterator<Item = T>, pieces: &[u8]) -> Vec<u8>
where
    E: Encoder<T> + Unpin,
    E::Error: Debug,
{
    let socket = Arc::new(Scripted::default());
    let mut framed = FramedWrite::new(TcpStream::from_socket(socket.clone()), encoder);
    let mut cx = Context::from_waker(Waker::noop());
    for message in messages {
        assert!(matches!(framed.poll_ready_unpin(&mut cx), Poll::Ready(Ok(()))), "they are few bytes");
        framed.start_send_unpin(message).expect("it can be encoded");
    }
    for n in 0.. {
        if let Poll::Ready(flushed) = framed.poll_flush_unpin(&mut cx) {
            flushed.expect("it is sent");
            break;
        }
        socket.make_room(piece(pieces, n));
    }
    socket.sent_bytes()
}

/// Lines, told by the bytes as a whole.
fn lines(bytes: &[u8], length_max: usize) -> Messages<String> {
    let mut lines = Vec::new();
    let mut parts: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    // Behind the last newline there is a line only if something is there.
    if parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
    }
    for line in parts {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match String::from_utf8(line.to_vec()) {
            Ok(line) if line.len() <= length_max => lines.push(line),
            _ => return (lines, true),
        }
    }
    (lines, false)
}

fn check_lines(options: u8, bytes: &[u8], pieces: &[u8]) {
    let length_max = if options < 50 { usize::MAX } else { usize::from(options) % 20 };
    let (expected, fails) = lines(bytes, length_max);
    let codec = LinesCodec::with_max_length(length_max);
    assert_eq!(decoded(codec, bytes, pieces), (expected.clone(), fails));
    // One that ends with `\r` would lose it.
    let plain = || expected.iter().filter(|line| !line.ends_with('\r'));
    let sent = encoded(LinesCodec::new(), plain(), pieces);
    assert_eq!(decoded(LinesCodec::new(), &sent, pieces), (plain().cloned().collect(), false));
}

/// How the length is told.
struct Head {
    offset: usize,
    length: usize,
    adjustment: isize,
    skip: Option<usize>,
    frame_max: usize,
    is_little_endian: bool,
}

impl Head {
    fn new(options: &[u8]) -> Self {
        let option = |n: usize| options.get(n).copied().map_or(0, usize::from);
        Self {
            length: 1 + option(0) % 8,
            offset: option(1) % 4,
            adjustment: option(2) as isize % 20 - 10,
            skip: (option(3) < 128).then_some(option(3)),
            frame_max: if option(4) == 255 { usize::MAX } else { option(4) },
            is_little_endian: option(5) % 2 == 1,
        }
    }

    fn builder(&self) -> LengthDelimitedBuilder {
        let builder = LengthDelimitedCodec::builder()
            .length_field_length(self.length)
            .length_field_offset(self.offset)
            .length_adjustment(self.adjustment)
            .max_frame_length(self.frame_max);
        let builder = self.skip.map_or(builder.clone(), |skip| builder.num_skip(skip));
        if self.is_little_endian { builder.little_endian() } else { builder }
    }

    /// Messages, told by the bytes as a whole.
    fn messages(&self, mut bytes: &[u8]) -> Messages<BytesMut> {
        let (mut messages, head) = (Vec::new(), self.offset + self.length);
        while bytes.len() >= head {
            let field = &bytes[self.offset..head];
            let add = |sum: i128, byte: &u8| sum * 256 + i128::from(*byte);
            let said = if self.is_little_endian {
                field.iter().rev().fold(0, add)
            } else {
                field.iter().fold(0, add)
            };
            let length = said + self.adjustment as i128;
            if length < 0 || length > self.frame_max as i128 || length > (bytes.len() - head) as i128 {
                return (messages, true);
            }
            let (message, rest) = bytes.split_at(head + length as usize);
            messages.push(message[self.skip.unwrap_or(head).min(message.len())..].into());
            bytes = rest;
        }
        (messages, !bytes.is_empty())
    }
}

fn check_lengths(options: &[u8], bytes: &[u8], pieces: &[u8]) {
    let head = Head::new(options);
    let (expected, fails) = head.messages(bytes);
    assert_eq!(decoded(head.builder().build(), bytes, pieces), (expected.clone(), fails));
    let plain = || LengthDelimitedCodec::builder().length_field_length(2).build();
    let sent = encoded(plain(), expected.iter().map(|message| message.clone().freeze()), pieces);
    assert_eq!(decoded(plain(), &sent, pieces), (expected, false));
}

/// Takes `input` for a codec, its options, pieces, and bytes, in this order.
pub(crate) fn check(input: &[u8]) {
    let Some((options, bytes)) = input.split_at_checked(16) else { return };
    let (codec, options, pieces) = (options[0], &options[1..8], &options[8..]);
    if codec % 2 == 0 {
        check_lines(options[0], bytes, pieces)
    } else {
        check_lengths(options, bytes, pieces)
    }
}
