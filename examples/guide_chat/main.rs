//! A chat server with rooms, timeouts and a graceful end: `chat [ADDRESS]`, or `chat --demo`.

mod client;
mod room;
mod server;
#[cfg(test)]
mod tests;

use std::io;

use asyncio::signal::ctrl_c;

use crate::server::{ChatServer, Limits};

const ADDRESS: &str = "127.0.0.1:7000";

/// A future that ends when the process is told to end. It listens from this call on.
#[cfg(unix)]
fn told_to_end() -> io::Result<impl Future<Output = io::Result<()>>> {
    use asyncio::signal::unix::{SignalKind, signal};

    let interrupted = ctrl_c();
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        let terminated = async {
            terminate.recv().await;
            Ok(())
        };
        asyncio::race!(interrupted, terminated)
    })
}

/// A future that ends when the process is told to end. It listens from this call on.
#[cfg(not(unix))]
fn told_to_end() -> io::Result<impl Future<Output = io::Result<()>>> {
    Ok(ctrl_c())
}

/// Serves at `address` until Ctrl-C or SIGTERM, and ends in good order.
async fn serve(address: &str) -> io::Result<()> {
    // Before the server starts: a signal that comes earlier ends the process on the spot.
    let told = told_to_end()?;
    let chat = ChatServer::start(address, Limits::default()).await?;
    println!("listening on {}", chat.addr());
    chat.run(told).await?; // a second signal, while it says goodbye, kills
    println!("everybody has gone");
    Ok(())
}

fn main() -> io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("--demo") => asyncio::run(client::demo()),
        address => asyncio::run(serve(address.unwrap_or(ADDRESS))),
    }
}
