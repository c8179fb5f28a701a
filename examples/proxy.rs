//! A TCP proxy that keeps half-closed connections half closed, and ends gracefully: it stops listening, and waits for those who are connected.
//!
//! `cargo run --release --example proxy` tries it on itself; `… -- LISTEN UPSTREAM` proxies until Ctrl-C, as in `127.0.0.1:8080 example.org:80`.

use std::io;

use asyncio::net::{Server, StreamReader, StreamWriter, open_connection, start_server};

/// Copies until the end, and passes that on. The other direction goes on by itself.
async fn copy(mut from: StreamReader, mut to: StreamWriter) -> io::Result<u64> {
    let mut count = 0;
    loop {
        let bytes = from.read(64 * 1024).await?;
        if bytes.is_empty() {
            to.write_eof();
            to.drain().await?;
            return Ok(count);
        }
        count += bytes.len() as u64;
        // Waits while the other side is slower: no more than the high water mark is kept.
        to.write_all(&bytes).await?;
    }
}

async fn proxy(listen: &str, upstream: &str) -> io::Result<Server> {
    let upstream = upstream.to_owned();
    let handler = move |client_in: StreamReader, client_out: StreamWriter| {
        let upstream = upstream.clone();
        async move {
            let (server_in, server_out) = open_connection(&upstream).await?;
            // Where one direction fails, the other is given up, and all four halves are dropped: both sides see it.
            let copied = asyncio::try_join!(copy(client_in, server_out), copy(server_in, client_out))?;
            eprintln!("{} bytes up, {} down", copied.0, copied.1);
            Ok::<_, io::Error>(())
        }
    };
    start_server(handler, listen).await
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [listen, upstream] = &arguments[..] {
        let server = proxy(listen, upstream).await?;
        println!("listening at {:?}", server.local_addrs());
        asyncio::signal::ctrl_c().await?;
        server.close();
        println!("{} connections are left", server.clients());
        server.wait_closed().await;
        return Ok(());
    }

    // An upstream that answers only when it has heard all: a proxy that makes one end of two loses the answer.
    let answers = |mut reader: StreamReader, mut writer: StreamWriter| async move {
        let mut all = reader.read_to_end().await?;
        all.reverse();
        writer.write(&all);
        writer.close().await
    };
    let upstream = start_server(answers, "127.0.0.1:0").await?;
    let proxy = proxy("127.0.0.1:0", &upstream.local_addrs()[0].to_string()).await?;
    let (mut reader, mut writer) = open_connection(proxy.local_addrs()[0]).await?;
    let question: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    writer.write(&question[..10]);
    writer.drain().await?;
    while proxy.clients() == 0 {
        asyncio::yield_now().await;
    }
    // It is closed while somebody is connected, who is served to the end.
    proxy.close();
    let rest = question[10..].to_vec();
    let sending = asyncio::spawn_local(async move {
        for chunk in rest.chunks(50_000) {
            writer.write_all(chunk).await?;
        }
        writer.write_eof();
        Ok::<_, io::Error>(writer)
    });
    let answer = reader.read_to_end().await?;
    let writer = sending.await??;
    assert!(answer.iter().rev().eq(&question), "four megabytes went there and back");
    drop((reader, writer));
    proxy.wait_closed().await;
    println!("{} bytes went through, and the proxy has ended", answer.len());
    Ok(())
}
