//! Framing: messages in bytes, however those are cut.

use std::io;

use asyncio_net::codec::{
    Bytes, BytesMut, Decoder, Encoder, Framed, FramedRead, FramedWrite, LengthDelimitedCodec, LinesCodec,
    LinesCodecError,
};
use asyncio_net::{TcpStream, UdpSocket};
use asyncio_tasks::{spawn_local, yield_now};
use futures::{SinkExt, StreamExt};
use futures_lite::AsyncWriteExt;
use static_assertions::{assert_impl_all, assert_not_impl_any};

use crate::cancel::polled;
use crate::worlds::{on_each_loop, pair, pattern};

assert_impl_all!(Framed<TcpStream, LinesCodec>: Send, Sync, Unpin, std::fmt::Debug);
assert_not_impl_any!(Framed<UdpSocket, LinesCodec>: futures::Stream);

/// Numbers that look random, the same every time.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |bound| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    }
}

/// Decodes bytes that come in random pieces.
fn decoded<D: Decoder>(mut decoder: D, bytes: &[u8], seed: u64) -> Vec<Result<D::Item, D::Error>> {
    let (mut below, mut buffer, mut items) = (random(seed), BytesMut::new(), Vec::new());
    let mut left = bytes;
    loop {
        let n = left.len().min(below(9));
        buffer.extend_from_slice(&left[..n]);
        left = &left[n..];
        loop {
            let item =
                if left.is_empty() { decoder.decode_eof(&mut buffer) } else { decoder.decode(&mut buffer) };
            match item.transpose() {
                Some(Ok(item)) => items.push(Ok(item)),
                Some(Err(error)) => {
                    items.push(Err(error));
                    return items;
                }
                None if left.is_empty() => return items,
                None => break,
            }
        }
    }
}

#[test]
fn lines_are_the_same_however_they_are_cut() {
    for seed in 0..200 {
        let mut below = random(seed + 1);
        let lines: Vec<String> =
            (0..below(20)).map(|n| "é\rx".chars().cycle().skip(n).take(below(12)).collect()).collect();
        let mut bytes = Vec::new();
        for line in &lines {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(if below(2) == 0 && !line.ends_with('\r') { b"\r\n" } else { b"\n" });
        }
        let expected: Vec<&str> = lines.iter().map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
        let read: Vec<String> =
            decoded(LinesCodec::new(), &bytes, seed).into_iter().map(Result::unwrap).collect();
        assert_eq!(read, expected, "seed {seed}");
        // Without its end the last one is one all the same.
        bytes.pop();
        let again = decoded(LinesCodec::new(), &bytes, seed);
        let last_is_empty =
            expected.last().is_some_and(|line| line.is_empty()) && bytes.last() != Some(&b'\r');
        assert_eq!(again.len(), expected.len() - usize::from(last_is_empty), "seed {seed}");
    }
}

#[test]
fn lines_of_a_length_and_one_more() {
    for newline in ["\n", "\r\n"] {
        let read = decoded(LinesCodec::with_max_length(5), format!("12345{newline}1{newline}").as_bytes(), 3);
        assert_eq!(read.into_iter().map(Result::unwrap).collect::<Vec<_>>(), ["12345", "1"]);
        let read =
            decoded(LinesCodec::with_max_length(5), format!("123456{newline}1{newline}").as_bytes(), 3);
        assert!(matches!(&read[..], [Err(LinesCodecError::MaxLineLengthExceeded { length_max: 5 })]));
    }
    // One that does not end is noticed before it fills the memory.
    let (mut codec, mut buffer) = (LinesCodec::with_max_length(100), BytesMut::new());
    let error = loop {
        buffer.extend_from_slice(&[b'x'; 10]);
        if let Err(error) = codec.decode(&mut buffer) {
            break error;
        }
    };
    assert!(buffer.len() <= 110);
    assert_eq!(error.to_string(), "a line is longer than 100 bytes");
}

#[test]
fn lines_that_are_no_text() {
    let read = decoded(LinesCodec::new(), b"good\n\xff\xfe\ngood\n", 1);
    assert!(
        matches!(&read[1], Err(LinesCodecError::Io(error)) if error.kind() == io::ErrorKind::InvalidData)
    );
}

#[test]
fn messages_are_the_same_however_they_are_cut() {
    for seed in 0..200 {
        let mut below = random(seed + 1);
        let mut builder = LengthDelimitedCodec::builder().length_field_length(1 + below(8));
        if below(2) == 0 {
            builder = builder.little_endian();
        }
        // The length may count itself.
        builder = builder.length_adjustment([0, -1, -3][below(3)]);
        let mut codec = builder.build();
        let messages: Vec<Bytes> = (0..below(10)).map(|_| Bytes::from(pattern(below(200)))).collect();
        let mut bytes = BytesMut::new();
        for message in &messages {
            codec.encode(message.clone(), &mut bytes).unwrap();
        }
        let read: Vec<Bytes> =
            decoded(codec, &bytes, seed).into_iter().map(|message| message.unwrap().freeze()).collect();
        assert_eq!(read, messages, "seed {seed}");
    }
}

#[test]
fn heads_that_have_more_than_a_length() {
    let head = || LengthDelimitedCodec::builder().length_field_offset(2).length_field_length(1);
    let bytes = b"ab\x03xyzcd\x00";
    let read: Vec<_> = decoded(head().build(), bytes, 1).into_iter().map(Result::unwrap).collect();
    assert_eq!(read, [&b"xyz"[..], b""]);
    let read: Vec<_> =
        decoded(head().num_skip(0).build(), bytes, 1).into_iter().map(Result::unwrap).collect();
    assert_eq!(read, [&b"ab\x03xyz"[..], b"cd\x00"]);
    let error = head().build().encode(Bytes::new(), &mut BytesMut::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

#[test]
fn messages_that_cannot_be() {
    let error = |read: Vec<io::Result<BytesMut>>| read.into_iter().last().unwrap().unwrap_err();
    // Longer than it may be: refused by its head, and nothing is reserved for it.
    let codec = LengthDelimitedCodec::builder().max_frame_length(10).build();
    let long = error(decoded(codec.clone(), b"\xff\xff\xff\xffx", 1));
    assert_eq!(long.kind(), io::ErrorKind::InvalidData);
    assert_eq!(long.to_string(), "a message of 4294967295 bytes, where 10 are allowed");
    assert!(codec.clone().encode(Bytes::from_static(&[0; 11]), &mut BytesMut::new()).is_err());
    // Less than nothing.
    let counts_itself = LengthDelimitedCodec::builder().length_adjustment(-4).build();
    assert_eq!(error(decoded(counts_itself, b"\x00\x00\x00\x03", 1)).kind(), io::ErrorKind::InvalidData);
    let all = LengthDelimitedCodec::builder().length_field_length(8).build();
    assert_eq!(error(decoded(all, &[0xff; 9], 1)).kind(), io::ErrorKind::InvalidData);
    // Cut short, in its head and behind it.
    for short in [&b"\x00\x00"[..], b"\x00\x00\x00\x02x"] {
        assert_eq!(error(decoded(codec.clone(), short, 1)).kind(), io::ErrorKind::UnexpectedEof);
    }
    // No room for its length; and what is there already stays.
    let mut small = LengthDelimitedCodec::builder().length_field_length(1).build();
    let mut written = BytesMut::from(&b"before"[..]);
    small.encode(Bytes::from_static(&[0; 255]), &mut BytesMut::new()).unwrap();
    let error = small.encode(Bytes::from_static(&[0; 256]), &mut written).unwrap_err();
    assert_eq!((error.kind(), &written[..]), (io::ErrorKind::InvalidInput, &b"before"[..]));
}

#[test]
fn both_directions_of_a_connection() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let echo = spawn_local(async move {
            let (mut sink, mut stream) = Framed::new(server, LengthDelimitedCodec::new()).split();
            while let Some(message) = stream.next().await {
                sink.send(message.unwrap().freeze()).await.unwrap();
            }
            sink.close().await.unwrap();
        });
        let (mut sink, mut stream) = Framed::new(client, LengthDelimitedCodec::new()).split();
        let sending = spawn_local(async move {
            for n in 0..300 {
                // Fed, not sent: they go out together.
                sink.feed(Bytes::from(pattern(n * 31))).await.unwrap();
            }
            sink.close().await.unwrap();
        });
        for n in 0..300 {
            assert!(stream.next().await.unwrap().unwrap() == pattern(n * 31));
        }
        assert!(stream.next().await.is_none() && stream.next().await.is_none());
        sending.await.unwrap();
        echo.await.unwrap();
    });
}

#[test]
fn halves_and_streams_of_ours() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let (reader, _writer) = server.into_streams();
        let (_read, write) = client.into_split();
        let mut lines = FramedRead::new(reader, LinesCodec::new());
        let mut sink = FramedWrite::new(write, LinesCodec::new());
        sink.send("one").await.unwrap();
        sink.send(String::from("two\nthree")).await.unwrap();
        SinkExt::<&str>::close(&mut sink).await.unwrap();
        let read: Vec<String> = lines.by_ref().map(Result::unwrap).collect().await;
        assert_eq!(read, ["one", "two", "three"]);
        assert_eq!(lines.codec_mut().decode(&mut BytesMut::from(&b"x\n"[..])).unwrap().unwrap(), "x");
        lines.into_inner();
    });
}

#[test]
fn a_stream_is_over_after_an_error() {
    on_each_loop(async || {
        let (mut client, server) = pair().await;
        let mut lines = Framed::new(server, LinesCodec::with_max_length(3));
        client.write_all(b"abc\nabcdefg\nabc\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "abc");
        lines.next().await.unwrap().unwrap_err();
        assert!(lines.next().await.is_none() && lines.next().await.is_none());
    });
}

#[test]
fn one_that_is_slow_has_whoever_sends_wait() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let mut sink = FramedWrite::new(client, LengthDelimitedCodec::new());
        let mut count = 0;
        let mut waits = 0;
        while waits < 100 {
            match futures_lite::future::poll_once(sink.feed(Bytes::from(vec![7; 10_000]))).await {
                Some(fed) => (count, waits) = (count + 1, fed.map(|()| 0).unwrap()),
                None => waits += 1,
            }
            yield_now().await;
        }
        // Nothing was lost of those that were taken, and nothing of those that were not came.
        let reading = spawn_local(async move {
            let messages = FramedRead::new(server, LengthDelimitedCodec::new());
            messages.map(|message| message.unwrap().len()).collect::<Vec<_>>().await
        });
        SinkExt::<Bytes>::close(&mut sink).await.unwrap();
        assert_eq!(reading.await.unwrap(), vec![10_000; count]);
    });
}

#[test]
fn dropped_at_every_poll_it_loses_nothing() {
    on_each_loop(async || {
        let (mut client, server) = pair().await;
        let mut lines = FramedRead::new(server, LinesCodec::new());
        let sending = spawn_local(async move {
            for n in 0..200 {
                let line = format!("line number {n}\n");
                for part in line.as_bytes().chunks(5) {
                    client.write_all(part).await.unwrap();
                    yield_now().await;
                }
            }
        });
        let mut read = Vec::new();
        while read.len() < 200 {
            if let Some(line) = polled(lines.next(), 1).await {
                read.push(line.unwrap().unwrap());
            }
            yield_now().await;
        }
        assert!(read.into_iter().enumerate().all(|(n, line)| line == format!("line number {n}")));
        sending.await.unwrap();
    });
}
