//! Serves the files of a folder by HTTP/1.1, whole and in parts (RFC 9110, 14): the system sends them by itself, without a copy through this process.
//!
//! `cargo run --release --example file_server` tries it on itself; `… -- 8080 FOLDER` serves it at that port until Ctrl-C.

mod request;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use asyncio::net::{ReadError, Server, StreamReader, StreamWriter, open_connection, start_server};
use asyncio::sync::Event;
use request::{BAD_REQUEST, NOT_FOUND, Refusal, Request, SERVER_ERROR};

/// How long a client may say nothing, or take nothing, and how long the end waits for answers that are under way.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a file a client has to take in that time.
const PART: u64 = 1 << 20;

/// Serves a client, and lets go of one that does not take its answers: what is left for it would be kept as long as it likes.
async fn serve(
    mut reader: StreamReader,
    mut writer: StreamWriter,
    folder: PathBuf,
    is_ending: Arc<Event>,
) -> io::Result<()> {
    let mut served = answers(&mut reader, &mut writer, &folder, &is_ending).await;
    if served.is_ok() {
        served = close(&mut reader, &mut writer).await;
    }
    if served.is_err() {
        writer.abort();
    }
    served
}

/// Answers one request after the other, until the client has asked for enough, or the server ends.
async fn answers(
    reader: &mut StreamReader,
    writer: &mut StreamWriter,
    folder: &Path,
    is_ending: &Event,
) -> io::Result<()> {
    loop {
        let asked = asyncio::race!(asyncio::timeout(PATIENCE, reader.read_until(b"\r\n\r\n")), async {
            is_ending.wait().await;
            Ok(Err(ReadError::Incomplete { partial: Vec::new() }))
        });
        let head = match asked {
            Ok(Ok(head)) => head,
            Ok(Err(ReadError::LimitOverrun { .. })) => {
                refuse(writer, BAD_REQUEST);
                return Ok(());
            }
            Ok(Err(ReadError::Io(error))) => return Err(error),
            // It has said its last word, or none.
            _ => return Ok(()),
        };
        let opened = match request::parse(&head) {
            Ok(request) => open(folder, &request.path).await.map(|(file, len)| (request, file, len)),
            Err(refusal) => Err(refusal),
        };
        match opened {
            Ok((request, file, len)) => {
                answer(writer, &request, &file, len).await?;
                if request.closes {
                    return Ok(());
                }
            }
            Err(refusal) => {
                refuse(writer, refusal);
                return Ok(());
            }
        }
    }
}

/// Ends a connection on which more may come that nobody reads: closed at once it would be reset, and the answer lost with it.
async fn close(reader: &mut StreamReader, writer: &mut StreamWriter) -> io::Result<()> {
    writer.write_eof();
    let rest = async {
        writer.drain().await?;
        for _ in 0..1000 {
            if reader.read(16 * 1024).await?.is_empty() {
                break;
            }
        }
        writer.close().await
    };
    asyncio::timeout(PATIENCE, rest).await?
}

/// Opens it on a thread: a disk may be slow. Only what is a file, and inside of the folder also where links lead.
async fn open(folder: &Path, path: &Path) -> Result<(File, u64), Refusal> {
    let (folder, full) = (folder.to_owned(), folder.join(path));
    let opened = asyncio::to_thread(move || {
        let full = full.canonicalize().map_err(not_there)?;
        if !full.starts_with(folder.canonicalize()?) || !full.metadata()?.is_file() {
            return Err(not_there("no file of this folder"));
        }
        let file = File::open(full)?;
        let len = file.metadata()?.len();
        Ok((file, len))
    });
    opened.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
        eprintln!("{path:?}: {error}");
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied => NOT_FOUND,
            _ => SERVER_ERROR,
        }
    })
}

/// A name that leads nowhere, for whatever reason.
fn not_there(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::NotFound, why)
}

async fn answer(writer: &mut StreamWriter, request: &Request, file: &File, len: u64) -> io::Result<()> {
    let (status, range, about) = match request.range.map(|range| range.of(len)) {
        None => ("200 OK", 0..len, String::new()),
        Some(Some(range)) => {
            let about = format!("Content-Range: bytes {}-{}/{len}\r\n", range.start, range.end - 1);
            ("206 Partial Content", range, about)
        }
        Some(None) => ("416 Range Not Satisfiable", 0..0, format!("Content-Range: bytes */{len}\r\n")),
    };
    let count = range.end - range.start;
    let closes = if request.closes { "Connection: close\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {count}\r\nAccept-Ranges: bytes\r\n{about}{closes}\r\n"
    );
    writer.write(head.as_bytes());
    let mut from = if request.is_head { range.end } else { range.start };
    while from < range.end {
        let part = from..range.end.min(from + PART);
        let sent = asyncio::timeout(PATIENCE, writer.send_file(file, part)).await??;
        if sent == 0 {
            // More was promised: the client must not take what comes next for the rest of it.
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file has become shorter"));
        }
        from += sent;
    }
    asyncio::timeout(PATIENCE, writer.drain()).await?
}

fn refuse(writer: &mut StreamWriter, Refusal(status, reason): Refusal) {
    let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    writer.write(head.as_bytes());
}

async fn start(addr: &str, folder: PathBuf, is_ending: Arc<Event>) -> io::Result<Server> {
    start_server(move |reader, writer| serve(reader, writer, folder.clone(), is_ending.clone()), addr).await
}

/// Asks for a file and for parts of it, on one connection; and for what is not to be had.
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
    let two_in_one = "/a%20file HTTP/1.1\n\nGET /a%20file";
    let paths = ["/../secret", "/%2e%2e/secret", "/link", "/", "/no-such-file", "/a%20file/x", two_in_one];
    for path in paths {
        let (mut reader, mut writer) = open_connection(addr).await?;
        writer.write(format!("GET {path} HTTP/1.1\r\nHost: it\r\n\r\n").as_bytes());
        let answer = reader.read_to_end().await?;
        assert!(answer.starts_with(if path == two_in_one { b"HTTP/1.1 400 " } else { b"HTTP/1.1 404 " }));
        assert!(!answer.ends_with(b"secret"), "{path:?} is answered");
    }
    // A body is none of ours, and the answer is whole all the same.
    let (mut reader, mut writer) = open_connection(addr).await?;
    writer
        .write(b"GET /a%20file HTTP/1.1\r\nHost: it\r\nContent-Length: 0\r\nContent-Length: 100000\r\n\r\n");
    writer.write(&[b'x'; 100_000]);
    let answer = reader.read_to_end().await?;
    assert!(answer.ends_with(bytes) && answer.len() < len + 200, "{} bytes", answer.len());
    println!("{len} bytes came, whole and in parts");
    Ok(())
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_ending = Arc::new(Event::new());
    let server = match &arguments[..] {
        [port, folder] => {
            let server = start(&format!("127.0.0.1:{port}"), folder.into(), is_ending.clone()).await?;
            println!("listening at {}", server.local_addrs()[0]);
            asyncio::signal::ctrl_c().await?;
            server
        }
        [] => {
            let folder = std::env::temp_dir().join(format!("asyncio-file-server-{}", std::process::id()));
            let (public, secret) = (folder.join("public"), folder.join("secret"));
            let bytes: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
            std::fs::create_dir_all(&public)?;
            std::fs::write(public.join("a file"), &bytes)?;
            std::fs::write(&secret, "secret")?;
            #[cfg(unix)]
            std::os::unix::fs::symlink(&secret, public.join("link"))?;
            let server = start("127.0.0.1:0", public, is_ending.clone()).await?;
            let tried = try_it(server.local_addrs()[0], &bytes).await;
            std::fs::remove_dir_all(&folder)?;
            tried?;
            server
        }
        _ => return Err("usage: file_server [PORT FOLDER]".into()),
    };
    server.close();
    is_ending.set();
    if asyncio::timeout(PATIENCE, server.wait_closed()).await.is_err() {
        server.abort_clients();
        server.wait_closed().await;
    }
    Ok(())
}
