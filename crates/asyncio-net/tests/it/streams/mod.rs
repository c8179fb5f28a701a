//! `StreamReader` and `StreamWriter`: on each selector, over TCP and over Unix sockets.

mod cancel;
mod cuts;
mod ending;
mod failing;
mod outside;
mod reading;
mod scripted;
mod writing;

use asyncio_net::{StreamReader, StreamWriter};
use asyncio_reactor::SocketOption;
use static_assertions::assert_impl_all;

use crate::worlds::{on_each_loop, pair, pattern};

assert_impl_all!(StreamReader: Send, Sync, Unpin, std::fmt::Debug);
assert_impl_all!(StreamWriter: Send, Sync, Unpin, std::fmt::Debug);

/// One end of a connection.
type End = (StreamReader, StreamWriter);

/// Runs a check with the two ends of a connection, on each loop, for each kind of socket.
fn on_each_kind(check: impl AsyncFn(End, End)) {
    on_each_loop(async || {
        let (client, server) = tcp().await;
        check(client, server).await;
        #[cfg(unix)]
        {
            let (one, other) = asyncio_net::UnixStream::pair().unwrap();
            check(one.into_streams(), other.into_streams()).await;
        }
    });
}

/// Two ends that do not take much: what a test writes is to be more.
async fn tcp() -> (End, End) {
    let (client, server) = pair().await;
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
        stream.socket().set_option(SocketOption::SendBufferSize(64 * 1024)).unwrap();
        stream.socket().set_option(SocketOption::RecvBufferSize(64 * 1024)).unwrap();
    }
    (client.into_streams(), server.into_streams())
}
