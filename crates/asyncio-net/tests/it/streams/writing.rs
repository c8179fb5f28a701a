//! What goes into a writer: in order, whole, and never more than fits.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::pin;
use std::task::Poll;

use asyncio_net::StreamWriter;
use asyncio_tasks::{spawn_local, yield_now};
use futures_lite::AsyncWriteExt;

use super::{on_each_kind, pattern};

/// Writes so much that the system does not take all of it; gives how many bytes.
fn overfill(writer: &mut StreamWriter, bytes: &[u8]) -> usize {
    let mut written = 0;
    while writer.write_buffer_size() == 0 {
        writer.write(bytes);
        written += bytes.len();
    }
    written
}

async fn is_pending(future: impl Future) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[test]
fn what_the_system_does_not_take_is_sent_in_the_background_in_order() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let bytes = pattern(3_000_000);
        for chunk in bytes.chunks(70_001) {
            writer.write(chunk);
        }
        assert!(writer.write_buffer_size() > 0, "so much does not fit");
        assert!(reader.read_exact(bytes.len()).await.unwrap() == bytes);
        while writer.write_buffer_size() > 0 {
            yield_now().await;
        }
        writer.drain().await.unwrap();
        writer.write(b"later");
        assert_eq!(writer.write_buffer_size(), 0, "it keeps up again");
        assert_eq!(reader.read_exact(5).await.unwrap(), b"later");
    });
}

#[test]
fn drain_waits_from_the_high_mark_down_to_the_low_one() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        assert_eq!(writer.write_buffer_limits(), (65_536, 16_384));
        writer.drain().await.unwrap();
        let mut sent = overfill(&mut writer, &pattern(10_000));
        assert!(!is_pending(writer.drain()).await, "below the high mark");
        while writer.write_buffer_size() <= 65_536 {
            writer.write(&[1; 1000]);
            sent += 1000;
        }
        assert!(is_pending(writer.drain()).await, "above it");
        let mut received = 0;
        while is_pending(writer.drain()).await {
            assert!(writer.write_buffer_size() > 16_384);
            received += reader.read(4096).await.unwrap().len();
            for _ in 0..3 {
                yield_now().await;
            }
        }
        assert!(writer.write_buffer_size() <= 16_384);
        assert_eq!(reader.read_exact(sent - received).await.unwrap().len(), sent - received);
    });
}

#[test]
fn a_limit_of_nothing_waits_for_every_byte() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.set_write_buffer_limits(0, 0);
        let sent = overfill(&mut writer, &pattern(10_000));
        assert!(is_pending(writer.drain()).await);
        let reading = spawn_local(async move {
            assert_eq!(reader.read_exact(sent).await.unwrap().len(), sent);
        });
        writer.drain().await.unwrap();
        assert_eq!(writer.write_buffer_size(), 0);
        reading.await.unwrap();
    });
}

#[test]
fn limits_are_looked_at_when_they_are_set() {
    on_each_kind(async |(_, mut writer), (_reader, _kept)| {
        overfill(&mut writer, &pattern(10_000));
        assert!(!is_pending(writer.drain()).await);
        writer.set_write_buffer_limits(10, 5);
        writer.write(&[0; 20]);
        assert!(is_pending(writer.drain()).await);
        writer.set_write_buffer_limits(1 << 20, 1 << 19);
        assert!(!is_pending(writer.drain()).await);
        writer.abort();
    });
}

#[test]
#[should_panic(expected = "is above the high one")]
fn a_low_mark_above_the_high_one_is_refused() {
    on_each_kind(async |(_, mut writer), _| writer.set_write_buffer_limits(1, 2));
}

/// Bug I4 of `reference/reliability.md`: asyncio's `writelines` passed the marks by.
#[test]
fn several_buffers_are_one_write_and_count_for_the_marks() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.writev(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cd")]);
        assert_eq!(reader.read(9).await.unwrap(), b"abcd");
        let big = pattern(700_001);
        let bufs: Vec<_> = big.chunks(999).map(IoSlice::new).collect();
        for _ in 0..12 {
            writer.writev(&bufs);
        }
        assert!(is_pending(writer.drain()).await);
        for _ in 0..12 {
            assert!(reader.read_exact(big.len()).await.unwrap() == big);
        }
    });
}

#[test]
fn one_who_drains_holds_no_more_than_the_mark_and_his_last_write() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let sending = spawn_local(async move {
            let mut most = 0;
            for _ in 0..400 {
                writer.write(&[7; 10_000]);
                most = most.max(writer.write_buffer_size());
                writer.drain().await.unwrap();
            }
            most
        });
        assert_eq!(reader.read_exact(4_000_000).await.unwrap(), vec![7; 4_000_000]);
        assert!(sending.await.unwrap() <= 65_536 + 10_000);
    });
}

#[test]
fn by_the_trait_it_takes_all_once_there_is_room() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let bytes = pattern(2_000_000);
        let sent = bytes.clone();
        let sending = spawn_local(async move {
            AsyncWriteExt::write_all(&mut writer, &sent).await.unwrap();
            writer.flush().await.unwrap();
            assert_eq!(writer.write_buffer_size(), 0);
            AsyncWriteExt::close(&mut writer).await.unwrap();
            assert!(!writer.is_closing(), "it is this direction that has ended");
        });
        assert!(reader.read_to_end().await.unwrap() == bytes);
        sending.await.unwrap();
    });
}

#[test]
fn write_all_drains() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let sending = spawn_local(async move {
            for _ in 0..50 {
                StreamWriter::write_all(&mut writer, &[3; 40_000]).await.unwrap();
                assert!(writer.write_buffer_size() <= 65_536);
            }
        });
        assert_eq!(reader.read_to_end().await.unwrap(), vec![3; 2_000_000]);
        sending.await.unwrap();
    });
}

#[test]
fn one_who_never_waits_is_interrupted_where_he_drains() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let sending = spawn_local(async move {
            loop {
                writer.write(b"x");
                if writer.drain().await.is_err() {
                    return;
                }
            }
        });
        assert_eq!(reader.read_exact(1000).await.unwrap(), vec![b'x'; 1000], "the reader has its turn");
        sending.cancel();
        let _ = sending.await;
    });
}
