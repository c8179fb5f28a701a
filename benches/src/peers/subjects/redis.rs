//! `asyncio-redis_like` and `redis-server`: our example, and what it is like.

use std::io;
use std::net::TcpListener;

use asyncio::net::ServerOptions;

#[expect(dead_code, reason = "the example's check of itself")]
#[path = "../../../../examples/redis_like/server/mod.rs"]
mod server;

pub const LIKE: &str = "asyncio-redis_like";
pub const REAL: &str = "redis-server";

/// Serves for ever.
pub fn serve(listener: TcpListener) -> io::Result<()> {
    asyncio::run(async {
        let listener = asyncio::net::TcpListener::from_std(listener)?;
        ServerOptions::new().create_server_with(server::factory(), listener).serve_forever().await
    })
}

/// The command line of the real one; it prints its port first, and listens a little later.
pub fn program(cpu: usize) -> io::Result<Vec<String>> {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let start = format!(
        "echo {port}; exec taskset -c {cpu} redis-server --bind 127.0.0.1 --port {port} --save '' --appendonly no > /dev/null"
    );
    Ok(vec!["sh".into(), "-c".into(), start])
}
