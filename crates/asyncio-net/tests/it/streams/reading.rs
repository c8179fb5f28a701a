//! What comes out of a reader, however it came in.

use std::io;

use asyncio_net::{ReadError, StreamWriter};
use asyncio_tasks::{spawn_local, yield_now};
use futures_lite::{AsyncBufReadExt, AsyncReadExt, StreamExt};

use super::{on_each_kind, pattern};

/// Sends each byte in a segment of its own, and gives the reader its turn.
async fn drip(writer: &mut StreamWriter, bytes: &[u8]) {
    for byte in bytes {
        writer.write(&[*byte]);
        for _ in 0..3 {
            yield_now().await;
        }
    }
}

#[test]
fn read_gives_what_is_there_and_waits_only_for_the_first_byte() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        assert_eq!(reader.read(0).await.unwrap(), b"", "without waiting");
        writer.write(b"abcdef");
        assert_eq!(reader.read(4).await.unwrap(), b"abcd");
        assert_eq!(reader.read(4).await.unwrap(), b"ef", "what is left, without waiting for more");
        writer.write_eof();
        assert!(!reader.at_eof(), "nobody has seen it yet");
        assert_eq!(reader.read(4).await.unwrap(), b"");
        assert!(reader.at_eof());
        assert_eq!(reader.read(4).await.unwrap(), b"", "and so it stays");
    });
}

#[test]
fn at_eof_is_behind_the_last_byte() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.write(b"ab");
        writer.write_eof();
        let error = reader.read_until(b"\n").await.unwrap_err();
        assert!(matches!(error, ReadError::Incomplete { partial } if partial == b"ab"));
        assert!(reader.at_eof());
    });
}

#[test]
fn read_exact_waits_for_all_of_them() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let sending = spawn_local(async move {
            drip(&mut writer, b"abcdefgh").await;
            writer
        });
        assert_eq!(reader.read_exact(5).await.unwrap(), b"abcde");
        assert_eq!(reader.read_exact(0).await.unwrap(), b"");
        assert_eq!(reader.read_exact(3).await.unwrap(), b"fgh");
        drop(sending.await);
        let error = reader.read_exact(1).await.unwrap_err();
        assert!(matches!(error, ReadError::Incomplete { partial } if partial.is_empty()));
    });
}

#[test]
fn an_end_before_the_last_byte_gives_those_that_came() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.write(b"abc");
        writer.write_eof();
        let error = reader.read_exact(4).await.unwrap_err();
        assert_eq!(error.to_string(), "the stream ended before all was read: 3 bytes came");
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(reader.read(9).await.unwrap(), b"", "they were given away");
    });
}

#[test]
fn read_exact_knows_no_limit() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let bytes = pattern(300_000);
        writer.write(&bytes);
        reader.set_limit(10);
        assert!(reader.read_exact(299_999).await.unwrap() == bytes[..299_999]);
        assert_eq!(reader.read_exact(1).await.unwrap(), bytes[299_999..]);
    });
}

#[test]
fn lines_have_their_newline_and_the_last_may_be_without() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.write(b"one\n\ntwo\r\nthr");
        writer.write(b"ee");
        writer.write_eof();
        for line in [&b"one\n"[..], b"\n", b"two\r\n", b"three"] {
            assert_eq!(reader.read_line().await.unwrap().as_deref(), Some(line));
        }
        assert_eq!(reader.read_line().await.unwrap(), None);
        assert_eq!(reader.read_line().await.unwrap(), None);
    });
}

#[test]
fn lines_come_as_a_stream() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.write(b"one\ntwo\nthree");
        writer.write_eof();
        let mut lines = reader.read_lines();
        assert_eq!(lines.next().await.unwrap().unwrap(), b"one\n");
        drop(lines);
        let rest: Vec<_> = reader.read_lines().map(Result::unwrap).collect().await;
        assert_eq!(rest, [&b"two\n"[..], b"three"]);
    });
}

#[test]
fn lines_end_after_an_error() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        reader.set_limit(4);
        writer.write(b"ok\ntoo long\n");
        let mut lines = reader.read_lines();
        assert_eq!(lines.next().await.unwrap().unwrap(), b"ok\n");
        assert!(matches!(lines.next().await, Some(Err(ReadError::LimitOverrun { .. }))));
        assert!(lines.next().await.is_none(), "or who logs errors and goes on would never end");
        assert!(lines.next().await.is_none());
        drop(lines);
        assert_eq!(reader.read(9).await.unwrap(), b"too long\n", "nothing is lost");
    });
}

#[test]
fn one_who_reads_what_is_there_is_interrupted() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.write(&b"x\n".repeat(20_000));
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"x\n");
        let turns = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = turns.clone();
        let other = spawn_local(async move {
            loop {
                count.set(count.get() + 1);
                yield_now().await;
            }
        });
        for _ in 0..19_999 {
            assert_eq!(reader.read_line().await.unwrap().unwrap(), b"x\n");
        }
        assert!(turns.get() >= 10, "the others had their turn {} times", turns.get());
        other.cancel();
        let _ = other.await;
    });
}

#[test]
fn debug_does_not_show_the_bytes() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.write(b"a secret");
        assert_eq!(reader.read(1).await.unwrap(), b"a");
        let text = format!("{reader:?} {writer:?}");
        assert!(text.contains("len: 7"), "{text}");
        assert!(!text.contains("115"), "the bytes: {text}");
    });
}

#[test]
fn any_number_of_buffers_may_be_read_into() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.write(&pattern(3000));
        let mut got = 0;
        while got < 3000 {
            let mut bytes = vec![[0]; 2000];
            let mut bufs: Vec<io::IoSliceMut<'_>> = (0..1500).map(|_| io::IoSliceMut::new(&mut [])).collect();
            bufs.extend(bytes.iter_mut().map(|byte| io::IoSliceMut::new(byte)));
            let n = reader.read_vectored(&mut bufs).await.unwrap();
            assert!(n > 0, "it is not the end");
            let expected = &pattern(3000)[got..got + n];
            assert!(bytes.concat().starts_with(expected));
            got += n;
        }
    });
}

#[test]
fn a_separator_may_come_byte_by_byte() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let sending = spawn_local(async move {
            drip(&mut writer, b"GET\r\rx\r\n\r\n\r\n\r\nrest").await;
            writer
        });
        assert_eq!(reader.read_until(b"\r\n\r\n").await.unwrap(), b"GET\r\rx\r\n\r\n");
        assert_eq!(reader.read_until(b"\r\n\r\n").await.unwrap(), b"\r\n\r\n");
        assert_eq!(reader.read_exact(4).await.unwrap(), b"rest");
        sending.await.unwrap();
    });
}

#[test]
fn of_several_separators_the_first_to_end_counts() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let separators = &[&b";"[..], b"\r\n", b"END"];
        let sending = spawn_local(async move {
            drip(&mut writer, b"a;b\r\ncENDd;").await;
            writer
        });
        for piece in [&b"a;"[..], b"b\r\n", b"cEND", b"d;"] {
            assert_eq!(reader.read_until_any(separators).await.unwrap(), piece);
        }
        sending.await.unwrap();
    });
}

#[test]
fn a_line_over_the_limit_stays() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        reader.set_limit(4);
        assert_eq!(reader.limit(), 4);
        writer.write(b"abcd\nabcde\nf\n");
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"abcd\n", "the separator does not count");
        for _ in 0..2 {
            let error = reader.read_line().await.unwrap_err();
            assert!(matches!(error, ReadError::LimitOverrun { consumed: 5 }), "{error}");
        }
        assert_eq!(reader.read(5).await.unwrap(), b"abcde", "whoever wants to pass over it");
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"\n");
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"f\n");
    });
}

#[test]
fn a_line_without_end_is_noticed_at_the_limit() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        reader.set_limit(8);
        writer.write(b"12345678");
        writer.write(b"9\r");
        let error = reader.read_until(b"\r\n").await.unwrap_err();
        let ReadError::LimitOverrun { consumed } = error else { panic!("{error}") };
        assert!((9..=10).contains(&consumed), "the last byte may begin a separator");
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        reader.set_limit(9);
        writer.write(b"\n");
        assert_eq!(reader.read_until(b"\r\n").await.unwrap(), b"123456789\r\n", "all of it is still there");
    });
}

#[test]
fn the_default_limit_is_asyncios() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        assert_eq!(reader.limit(), 65_536);
        let mut line = vec![b'x'; 65_536];
        line.push(b'\n');
        writer.write(&line);
        writer.write(b"x");
        writer.write(&line);
        assert!(reader.read_line().await.unwrap().unwrap() == line);
        assert!(matches!(reader.read_line().await, Err(ReadError::LimitOverrun { .. })));
        assert!(reader.read_exact(65_538).await.unwrap()[1..] == line);
    });
}

#[test]
fn everything_up_to_the_end() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let bytes = pattern(1 << 20);
        writer.write(&bytes[..7]);
        assert_eq!(reader.read(3).await.unwrap(), bytes[..3]);
        writer.write(&bytes[7..]);
        writer.write_eof();
        assert!(reader.read_to_end().await.unwrap() == bytes[3..]);
        assert_eq!(reader.read_to_end().await.unwrap(), b"");
    });
}

#[test]
fn the_traits_and_the_methods_take_turns() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.write(b"line\nabcdef");
        writer.write_eof();
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"line\n");
        let mut two = [0; 2];
        AsyncReadExt::read_exact(&mut reader, &mut two).await.unwrap();
        assert_eq!(&two, b"ab");
        assert_eq!(AsyncReadExt::read(&mut reader, &mut []).await.unwrap(), 0);
        assert!(!reader.at_eof(), "nobody asked for a byte");
        assert_eq!(reader.fill_buf().await.unwrap(), b"cdef");
        reader.consume(1);
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "def");
        assert_eq!(reader.fill_buf().await.unwrap(), b"");
    });
}

#[test]
#[should_panic(expected = "needs a separator")]
fn a_separator_of_nothing_is_refused() {
    on_each_kind(async |(_writer_end, _), (mut reader, _kept)| drop(reader.read_until(b"").await));
}

#[test]
#[should_panic(expected = "at least 1")]
fn a_limit_of_nothing_is_refused() {
    on_each_kind(async |_, (mut reader, _kept)| reader.set_limit(0));
}
