//! A connection whose reactor another thread turns, or whoever else turns it in the midst of a poll.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use asyncio_net::protocol::connect_accepted_socket;
use asyncio_reactor::{Socket, adopt, entered};

use super::{Log, Recorder};
use crate::around::Around;
use crate::worlds::on_each_real_loop;

#[test]
fn bytes_that_come_in_the_midst_of_a_poll_are_not_the_last() {
    on_each_real_loop(async || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let below = adopt(ours.into()).unwrap();
        // Bytes come just after it was found empty, and its reactor tells of them at once.
        let mut overtakes = peer.try_clone().unwrap();
        let around = Around::new(below);
        *around.when_empty.lock().unwrap() = Some(Box::new(move || {
            overtakes.write_all(b"x").unwrap();
            while entered().unwrap().turn(Some(Duration::from_millis(1))).unwrap() == 0 {}
        }));
        let log = Log::default();
        let socket: Arc<dyn Socket> = Arc::new(around);
        connect_accepted_socket(|| Recorder::new(&log), socket).await.unwrap();
        log.until("data x").await;
        peer.write_all(b"y").unwrap();
        log.until("data y").await;
        drop(peer);
        log.until("lost").await;
        assert_eq!(log.take(), ["made", "data x", "data y", "eof", "lost"]);
    });
}
