//! The loops that the suite runs on: one for each selector, and one that has a second worker beside it.

use asyncio_net::{TcpListener, TcpStream};
use asyncio_reactor::{PollingSelector, SelectorReactor};
use asyncio_runtime::{Builder, Runner};

/// Runs a check on a loop of each selector, and as main of two workers.
pub(crate) fn on_each_loop(check: impl AsyncFn()) {
    let builders: [Builder; 3] = [
        Runner::builder(),
        Runner::builder().reactor(|_| SelectorReactor::new(PollingSelector::new()?)),
        Runner::builder().workers(2),
    ];
    for builder in builders {
        builder.build().unwrap().run(check());
    }
}

/// Two ends of one connection.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, from) = listener.accept().await.unwrap();
    assert_eq!(from, client.local_addr().unwrap());
    (client, server)
}
