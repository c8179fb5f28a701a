//! A server that `redis-cli` and `redis-benchmark` can talk to: PING, ECHO, SET, GET, DEL, INCR, and what they ask at the beginning.
//!
//! `cargo run --release --example redis_like` tries it on itself; `… -- 6379` serves at that port.

mod server;

use asyncio::net::open_connection;
use asyncio::net::protocol::create_server;

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1);
    let server =
        create_server(server::factory(), format!("127.0.0.1:{}", port.as_deref().unwrap_or("0"))).await?;
    if port.is_some() {
        println!("listening at {}", server.local_addrs()[0]);
        return Ok(server.serve_forever().await?);
    }
    server::resp::check_examples();
    let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await?;
    // Many commands at once, cut anywhere.
    let commands = b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nv\r\nv2\r\nGET k\r\nGET none\r\nINCR n\r\nINCR n\r\nINCR k\r\nDEL k n k\r\nWHAT\r\n*x\r\n";
    for cut in [7, 13, commands.len()] {
        for piece in commands[..commands.len() - 4].chunks(cut) {
            writer.write_all(piece).await?;
        }
        for expected in
            ["+PONG", "+OK", "$5", "v", "v2", "$-1", ":1", ":2", "-ERR value", ":2", "-ERR unknown"]
        {
            let line = reader.read_line().await?.unwrap_or_default();
            assert!(
                line.starts_with(expected.as_bytes()),
                "{:?} is not {expected}",
                String::from_utf8_lossy(&line)
            );
        }
    }
    writer.write(b"*x\r\n");
    assert_eq!(reader.read_to_end().await?, b"-ERR Protocol error: invalid length\r\n");
    println!("it answers");
    Ok(())
}
