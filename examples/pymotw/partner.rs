//! The other side of a program: an echo server and a client that print nothing, so that what is printed is the program's own.

use std::io;
use std::net::SocketAddr;

use asyncio::net::{Server, StreamReader, StreamWriter, open_connection, start_server};

/// What every client sends, piece by piece.
pub const PARTS: [&str; 3] = ["One piece, ", "another piece, ", "and the last one."];

/// Serves on a port that the system chooses.
pub async fn serve() -> io::Result<Server> {
    start_server(echo, "127.0.0.1:0").await
}

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    let message = reader.read_to_end().await?;
    writer.write(&message);
    writer.close().await
}

/// Sends the pieces and then the end, and returns what the server has answered by its end.
pub async fn ask(addr: SocketAddr) -> io::Result<String> {
    let (mut reader, mut writer) = open_connection(addr).await?;
    for part in PARTS {
        writer.write(part.as_bytes());
    }
    writer.write_eof();
    let answer = reader.read_to_end().await?;
    String::from_utf8(answer).map_err(io::Error::other)
}

/// Whether a server has sent everything back.
pub fn is_echo(answer: &str) -> bool {
    answer == PARTS.concat()
}
