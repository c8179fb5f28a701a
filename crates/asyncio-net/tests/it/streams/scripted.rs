//! Streams on a socket that does what the test says: what depends on the moment in which a real one has room.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asyncio_net::{StreamReader, StreamWriter, TcpStream};
use asyncio_reactor::{OptionName, Received, RecvMsg, SendMsg, SockAddr, Socket, SocketOption, Waiter};
use asyncio_tasks::yield_now;

/// Takes as many bytes as there is room, and tells nobody of room before the test does.
#[derive(Debug, Default)]
struct Scripted(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    room: usize,
    sent: Vec<u8>,
    has_ended: bool,
    waits: Option<Waker>,
}

impl Scripted {
    fn sent(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().sent.clone()).unwrap()
    }

    fn make_room(&self, room: usize) {
        self.0.lock().unwrap().room = room;
    }

    fn tell(&self) {
        let waits = self.0.lock().unwrap().waits.take();
        waits.into_iter().for_each(Waker::wake);
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Socket for Scripted {
    fn bind(&self, _: &SockAddr) -> io::Result<()> {
        unsupported()
    }

    fn listen(&self, _: u32) -> io::Result<()> {
        unsupported()
    }

    fn poll_accept(
        &self,
        _: &mut Context<'_>,
        _: &mut Waiter,
    ) -> Poll<io::Result<(Arc<dyn Socket>, SockAddr)>> {
        Poll::Ready(unsupported())
    }

    fn poll_connect(&self, _: &mut Context<'_>, _: &mut Waiter, _: &SockAddr) -> Poll<io::Result<()>> {
        Poll::Ready(unsupported())
    }

    fn poll_recv(
        &self,
        _: &mut Context<'_>,
        _: &mut Waiter,
        _: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        Poll::Pending
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        _: &mut Waiter,
        message: &SendMsg<'_, '_>,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().unwrap();
        if state.room == 0 {
            // Of one who only tries nothing is kept.
            if !cx.waker().will_wake(Waker::noop()) {
                state.waits = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let bytes: Vec<u8> =
            message.bufs.iter().flat_map(|buf| buf.iter().copied()).take(state.room).collect();
        state.room -= bytes.len();
        state.sent.extend(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        self.0.lock().unwrap().has_ended = true;
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SockAddr> {
        unsupported()
    }

    fn peer_addr(&self) -> io::Result<SockAddr> {
        unsupported()
    }

    fn set_option(&self, _: SocketOption) -> io::Result<()> {
        unsupported()
    }

    fn option(&self, _: OptionName) -> io::Result<SocketOption> {
        unsupported()
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }
}

fn streams() -> (Arc<Scripted>, StreamReader, StreamWriter) {
    let socket = Arc::new(Scripted::default());
    let (reader, writer) = TcpStream::from_socket(socket.clone()).into_streams();
    (socket, reader, writer)
}

/// O1.
#[test]
fn a_write_does_not_pass_by_what_is_kept() {
    asyncio_runtime::run(async {
        let (socket, _reader, mut writer) = streams();
        socket.make_room(2);
        writer.write(b"abcd");
        assert_eq!((socket.sent(), writer.write_buffer_size()), ("ab".into(), 2), "what fits goes at once");
        yield_now().await;
        socket.make_room(100);
        writer.write(b"ef");
        assert_eq!(socket.sent(), "ab", "there is room, and somebody is before it");
        socket.tell();
        yield_now().await;
        assert_eq!((socket.sent(), writer.write_buffer_size()), ("abcdef".into(), 0));
        writer.write(b"gh");
        assert_eq!(socket.sent(), "abcdefgh");
    });
}

/// O3.
#[test]
fn an_end_does_not_pass_by_what_is_kept() {
    asyncio_runtime::run(async {
        let (socket, _reader, mut writer) = streams();
        writer.write(b"abcd");
        writer.write_eof();
        socket.make_room(3);
        socket.tell();
        yield_now().await;
        assert_eq!(socket.sent(), "abc");
        assert!(!socket.0.lock().unwrap().has_ended);
        socket.make_room(3);
        socket.tell();
        yield_now().await;
        assert_eq!(socket.sent(), "abcd");
        assert!(socket.0.lock().unwrap().has_ended);
    });
}

/// O2: whoever drains goes on at the low mark, though not all is sent.
#[test]
fn one_who_drains_is_woken_at_the_low_mark() {
    asyncio_runtime::run(async {
        let (socket, _reader, mut writer) = streams();
        writer.write(&[b'x'; 100_000]);
        let draining = asyncio_tasks::spawn_local(async move {
            writer.drain().await.unwrap();
            writer
        });
        for (room, is_enough) in [(50_000, false), (30_000, false), (5_000, true)] {
            socket.make_room(room);
            socket.tell();
            for _ in 0..5 {
                yield_now().await;
            }
            assert_eq!(draining.is_finished(), is_enough, "{}", socket.sent().len());
        }
        assert_eq!(draining.await.unwrap().write_buffer_size(), 15_000);
        socket.make_room(15_000);
        socket.tell();
    });
}
