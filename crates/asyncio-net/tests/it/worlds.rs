//! The loops that the suite runs on: one for each selector, one that has a second worker beside it, and that of a simulated host.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use asyncio_net::{TcpListener, TcpStream};
use asyncio_reactor::{PollingSelector, SelectorReactor};
use asyncio_runtime::{Builder, Runner};
use asyncio_sim::SimReactor;
use asyncio_tasks::yield_now;

/// A check of some test. Boxed, so that what runs it is compiled once, and not for each.
type Check<'a> = &'a dyn Fn() -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs a check on each real loop, and on a simulated host.
pub(crate) fn on_each_loop(check: impl AsyncFn()) {
    run_on_real_loops(&|| Box::pin(check()));
    run_on_a_simulated_host(&|| Box::pin(check()));
}

/// Runs a check on a loop of each selector, and as main of two workers.
///
/// For what needs the operating system: sockets of the standard library and threads that use them, descriptors, files, options that are the kernel's own.
pub(crate) fn on_each_real_loop(check: impl AsyncFn()) {
    run_on_real_loops(&|| Box::pin(check()));
}

/// Runs a check on a simulated host that has loopback alone, in virtual time.
pub(crate) fn on_a_simulated_host(check: impl AsyncFn()) {
    run_on_a_simulated_host(&|| Box::pin(check()));
}

fn run_on_real_loops(check: Check<'_>) {
    let builders: [Builder; 3] = [
        Runner::builder(),
        Runner::builder().reactor(|_| SelectorReactor::new(PollingSelector::new()?)),
        Runner::builder().workers(2),
    ];
    for builder in builders {
        builder.build().unwrap().run(check());
    }
}

fn run_on_a_simulated_host(check: Check<'_>) {
    let (reactor, clock) = SimReactor::alone(1);
    let reactor = Mutex::new(Some(reactor));
    let only = move |_| Ok(reactor.lock().unwrap().take().expect("there is one worker"));
    Runner::builder().reactor(only).clock(clock).build().unwrap().run(check());
}

/// A loop, and what it reports.
pub(crate) fn reporting() -> (Builder, Arc<Mutex<Vec<String>>>) {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = reports.clone();
    let note = move |context: &asyncio_runtime::Unhandled| sink.lock().unwrap().push(context.to_string());
    (Runner::builder().on_unhandled(note), reports)
}

/// Gives everybody who is ready his turn, and again.
pub(crate) async fn settled() {
    for _ in 0..20 {
        yield_now().await;
    }
}

/// Bytes of which each place can be told from its neighbours.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32 / 4 + 1).flat_map(u32::to_le_bytes).take(len).collect()
}

/// Two ends of one connection.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, from) = listener.accept().await.unwrap();
    assert_eq!(from, client.local_addr().unwrap());
    (client, server)
}
