//! Each direction ends by itself: with bytes under way or without, before the other or after it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use asyncio_net::protocol::{OnEof, Protocol, Transport, connect_accepted_socket};
use asyncio_tasks::yield_now;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::{joined, with_a_peer};
use crate::worlds::{on_each_real_loop, pattern};

/// How a connection goes.
#[derive(Clone, Copy, Debug)]
struct Course {
    peer_has_bytes: bool,
    we_have_bytes: bool,
    /// Ends its direction before it has seen the other's end.
    peer_ends_first: bool,
    we_end_first: bool,
}

impl Course {
    /// All of them but those where each waits for the other.
    fn all() -> Vec<Self> {
        let bits = |n: u8| [n & 1 != 0, n & 2 != 0, n & 4 != 0, n & 8 != 0];
        let course = |[peer_has_bytes, we_have_bytes, peer_ends_first, we_end_first]: [bool; 4]| Self {
            peer_has_bytes,
            we_have_bytes,
            peer_ends_first,
            we_end_first,
        };
        let all = (0..16).map(bits).map(course);
        all.filter(|course| course.peer_ends_first || course.we_end_first).collect()
    }

    fn theirs(self) -> Vec<u8> {
        if self.peer_has_bytes { pattern(300_000) } else { Vec::new() }
    }

    fn ours(self) -> Vec<u8> {
        if self.we_have_bytes { pattern(400_001) } else { Vec::new() }
    }

    /// The peer's part, in a thread.
    fn peer(self, mut stream: TcpStream) {
        let mut reading = stream.try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            reading.read_to_end(&mut bytes).unwrap();
            bytes
        });
        stream.write_all(&self.theirs()).unwrap();
        if self.peer_ends_first {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        assert!(reader.join().unwrap() == self.ours(), "{self:?}");
        if !self.peer_ends_first {
            stream.shutdown(Shutdown::Write).unwrap();
        }
    }
}

#[test]
fn of_a_socket() {
    on_each_real_loop(async || {
        for course in Course::all() {
            let (stream, peer) = with_a_peer(move |stream| course.peer(stream));
            let (mut reader, mut writer) = stream.into_split();
            let mut bytes = Vec::new();
            let sending = async {
                writer.write_all(&course.ours()).await.unwrap();
                if course.we_end_first {
                    writer.close().await.unwrap();
                }
            };
            futures::join!(sending, async { reader.read_to_end(&mut bytes).await.unwrap() });
            assert!(bytes == course.theirs(), "{course:?}");
            writer.close().await.unwrap();
            assert_eq!(reader.read(&mut [0]).await.unwrap(), 0, "the end stays");
            joined(peer).await;
        }
    });
}

#[test]
fn of_streams() {
    on_each_real_loop(async || {
        for course in Course::all() {
            let (stream, peer) = with_a_peer(move |stream| course.peer(stream));
            let (mut reader, mut writer) = stream.into_streams();
            writer.write(&course.ours());
            if course.we_end_first {
                writer.write_eof();
            }
            assert!(reader.read_to_end().await.unwrap() == course.theirs(), "{course:?}");
            assert!(reader.at_eof());
            writer.close().await.unwrap();
            joined(peer).await;
        }
    });
}

/// Sends what it has at once, and ends first or at the end of the peer.
struct Ends {
    course: Course,
    transport: Option<Transport>,
    received: Vec<u8>,
    ends: usize,
    is_lost: bool,
}

impl Protocol for Ends {
    fn connection_made(&mut self, transport: Transport) {
        transport.write(&self.course.ours());
        if self.course.we_end_first {
            transport.write_eof();
        }
        self.transport = Some(transport);
    }

    fn data_received(&mut self, data: &[u8]) {
        assert_eq!(self.ends, 0, "bytes behind the end");
        self.received.extend_from_slice(data);
    }

    fn eof_received(&mut self) -> OnEof {
        self.ends += 1;
        OnEof::Close
    }

    fn connection_lost(&mut self, error: Option<std::io::Error>) {
        assert!(error.is_none() && !self.is_lost, "{error:?}");
        self.is_lost = true;
    }
}

#[test]
fn of_a_protocol() {
    on_each_real_loop(async || {
        for course in Course::all() {
            let (stream, peer) = with_a_peer(move |stream| course.peer(stream));
            let make = || Ends { course, transport: None, received: Vec::new(), ends: 0, is_lost: false };
            let (_, handle) = connect_accepted_socket(make, stream).await.unwrap();
            while !handle.with(|ends| ends.is_lost) {
                yield_now().await;
            }
            joined(peer).await;
            handle.with(|ends| {
                assert!(ends.received == course.theirs() && ends.ends == 1, "{course:?}");
                assert!(ends.transport.as_ref().is_some_and(Transport::is_closing));
            });
        }
    });
}

/// Two hundred that end in the midst of a message: nobody's bytes are another's.
#[test]
fn in_the_midst_of_a_message() {
    on_each_real_loop(async || {
        for n in 0..200_usize {
            let bytes = pattern(n * 7 + 1);
            let sent = bytes.clone();
            let (stream, peer) = with_a_peer(move |mut stream| stream.write_all(&sent).unwrap());
            let (mut reader, _writer) = stream.into_streams();
            let error = reader.read_exact(n * 7 + 2).await.unwrap_err();
            let asyncio_net::ReadError::Incomplete { partial } = error else { panic!("{error}") };
            assert!(partial == bytes);
            joined(peer).await;
        }
    });
}
