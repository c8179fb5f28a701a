//! Serves the files of a folder by HTTP/1.1, whole and in parts (RFC 9110, 14): the system sends them by itself, without a copy through this process.
//!
//! `cargo run --release --example file_server` tries it on itself; `… -- 8080 FOLDER` serves it at that port until Ctrl-C.

mod request;

use std::fs::{File, Metadata};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use asyncio::net::{ReadError, Server, StreamReader, StreamWriter, open_connection, start_server};
use request::{BAD_REQUEST, NOT_FOUND, Refusal, Request};

/// How long a connection may say nothing, and how long the end waits for answers that are under way.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers one request after the other.
async fn serve(mut reader: StreamReader, mut writer: StreamWriter, folder: PathBuf) -> io::Result<()> {
    loop {
        let head = match asyncio::timeout(PATIENCE, reader.read_until(b"\r\n\r\n")).await {
            Ok(Ok(head)) => head,
            Ok(Err(ReadError::Incomplete { partial })) if partial.is_empty() => break,
            Ok(Err(ReadError::LimitOverrun { .. })) => {
                refuse(&mut writer, BAD_REQUEST);
                break;
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => break,
        };
        let request = match request::parse(&head) {
            Ok(request) => request,
            Err(refusal) => {
                refuse(&mut writer, refusal);
                break;
            }
        };
        match open(&folder, &request.path).await {
            Ok((file, metadata)) => answer(&mut writer, &request, &file, &metadata).await?,
            Err(error) => {
                eprintln!("{}: {error}", request.path.display());
                refuse(&mut writer, NOT_FOUND);
                break;
            }
        }
        if request.closes {
            break;
        }
    }
    writer.close().await
}

/// Opens it on a thread: a disk may be slow. Only what is a file, and inside of the folder also where links lead.
async fn open(folder: &Path, path: &Path) -> io::Result<(File, Metadata)> {
    let (folder, path) = (folder.to_owned(), folder.join(path));
    let opened = asyncio::to_thread(move || {
        let path = path.canonicalize()?;
        if !path.starts_with(folder.canonicalize()?) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let metadata = path.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        Ok((File::open(path)?, metadata))
    });
    opened.await.map_err(io::Error::other)?
}

async fn answer(
    writer: &mut StreamWriter,
    request: &Request,
    file: &File,
    metadata: &Metadata,
) -> io::Result<()> {
    let len = metadata.len();
    let (status, range, about) = match request.range.map(|range| range.of(len)) {
        None => ("200 OK", 0..len, String::new()),
        Some(Some(range)) => {
            let about = format!("Content-Range: bytes {}-{}/{len}\r\n", range.start, range.end - 1);
            ("206 Partial Content", range, about)
        }
        Some(None) => ("416 Range Not Satisfiable", 0..0, format!("Content-Range: bytes */{len}\r\n")),
    };
    let count = range.end - range.start;
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {count}\r\nAccept-Ranges: bytes\r\n{about}\r\n");
    writer.write(head.as_bytes());
    if !request.is_head && writer.send_file(file, range).await? < count {
        // More was promised: the client must not take what comes next for the rest of it.
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
    }
    writer.drain().await
}

fn refuse(writer: &mut StreamWriter, Refusal(status, reason): Refusal) {
    let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    writer.write(head.as_bytes());
}

async fn start(addr: &str, folder: PathBuf) -> io::Result<Server> {
    start_server(move |reader, writer| serve(reader, writer, folder.clone()), addr).await
}

/// Asks for a file and for parts of it, on one connection.
async fn try_it(addr: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let (mut reader, mut writer) = open_connection(addr).await?;
    let len = bytes.len();
    for (range, status, expected) in [
        ("", "200 OK", bytes),
        ("Range: bytes=0-9\r\n", "206 Partial Content", &bytes[..10]),
        ("Range: bytes=999990-\r\n", "206 Partial Content", &bytes[999_990..]),
        ("Range: bytes=-5\r\n", "206 Partial Content", &bytes[len - 5..]),
        ("Range: bytes=99999999-\r\n", "416 Range Not Satisfiable", b""),
        ("Range: lines=1-2\r\n", "200 OK", bytes),
    ] {
        writer.write(format!("GET /a%20file HTTP/1.1\r\nHost: it\r\n{range}\r\n").as_bytes());
        let head = reader.read_until(b"\r\n\r\n").await?;
        let head = String::from_utf8(head).map_err(io::Error::other)?;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", expected.len())));
        let body = reader.read_exact(expected.len()).await?;
        assert!(body == expected, "other bytes for {range:?}");
    }
    for outside in ["/../a%20file", "/%2e%2e/secret", "/", "/no-such-file"] {
        let (mut reader, mut writer) = open_connection(addr).await?;
        writer.write(format!("GET {outside} HTTP/1.1\r\nHost: it\r\n\r\n").as_bytes());
        let answer = reader.read_to_end().await?;
        assert!(answer.starts_with(b"HTTP/1.1 404 "), "{outside} is answered");
    }
    println!("{len} bytes came, whole and in parts");
    Ok(())
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let server = if let [port, folder] = &arguments[..] {
        let server = start(&format!("127.0.0.1:{port}"), folder.into()).await?;
        println!("listening at {}", server.local_addrs()[0]);
        asyncio::signal::ctrl_c().await?;
        server
    } else {
        let folder = std::env::temp_dir().join(format!("asyncio-file-server-{}", std::process::id()));
        let bytes: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("a file"), &bytes)?;
        let server = start("127.0.0.1:0", folder.clone()).await?;
        let tried = try_it(server.local_addrs()[0], &bytes).await;
        std::fs::remove_dir_all(&folder)?;
        tried?;
        server
    };
    server.close();
    if asyncio::timeout(PATIENCE, server.wait_closed()).await.is_err() {
        server.abort_clients();
        server.wait_closed().await;
    }
    Ok(())
}
