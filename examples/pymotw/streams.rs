//! "Asynchronous I/O Using Coroutines and Streams": an echo server and its client, as functions that read and write.

use std::io;

use asyncio::net::{StreamReader, StreamWriter, open_connection, start_server};

use crate::{Outcome, partner};

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    println!("server: a client has connected");
    let mut received = Vec::new();
    loop {
        let data = reader.read(128).await?;
        if data.is_empty() {
            break;
        }
        writer.write(&data);
        writer.drain().await?;
        // How they are cut into pieces is the network's affair, so they are shown when all have come.
        received.extend_from_slice(&data);
    }
    println!("server: the client has sent {:?}, and then the end", String::from_utf8_lossy(&received));
    writer.close().await?;
    println!("server: the connection is closed");
    Ok(())
}

/// A server with a function for each client, which reads up to the end and sends back what it reads.
///
/// An error of the handler closes its connection and is reported; asyncio's programs leave that to a log. asyncio's server runs until Ctrl-C; this one
/// ends when its client has gone.
pub fn asyncio_echo_server_coroutine() -> Outcome {
    asyncio::run(async {
        let server = start_server(echo, "127.0.0.1:0").await?;
        println!("main: the server listens");
        let answer = partner::ask(server.local_addrs()[0]).await?;
        server.close();
        server.wait_closed().await;
        println!("main: the server has ended, and has sent all of it back: {}", partner::is_echo(&answer));
        Ok(())
    })
}

/// A client that sends its message in pieces and then the end, and reads up to the end of the answer.
///
/// There is no `can_write_eof` to be asked: the end can be sent on every stream, also under TLS.
pub fn asyncio_echo_client_coroutine() -> Outcome {
    asyncio::run(async {
        let server = partner::serve().await?;
        let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await?;
        for part in partner::PARTS {
            println!("client: sends {part:?}");
            writer.write(part.as_bytes());
        }
        println!("client: sends the end");
        writer.write_eof();
        writer.drain().await?;
        let answer = String::from_utf8(reader.read_to_end().await?)?;
        println!("client: has {answer:?}");
        writer.close().await?;
        println!("client: the connection is over, and all of it came back: {}", partner::is_echo(&answer));
        server.close();
        server.wait_closed().await;
        Ok(())
    })
}

/// The server once more, by generators and `yield from`, which Python itself has given up for coroutines in 3.11.
pub fn asyncio_echo_server_generator() -> Outcome {
    println!("no counterpart: Rust has one kind of async function, as in asyncio_echo_server_coroutine");
    Ok(())
}
