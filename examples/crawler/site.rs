//! The embedded site: 500 pages on loopback whose links are a graph, with redirects, broken links, slow pages, answers that are not HTTP,
//! bodies that lie, and one page that never answers. It records what it served.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use asyncio::net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

pub const PAGES: usize = 500;

/// What was served under a path: the status, and how many bytes of body.
pub type Served = Rc<RefCell<BTreeMap<String, (u16, usize)>>>;

/// A site that runs as tasks of this loop.
pub struct Site {
    pub addr: SocketAddr,
    pub served: Served,
}

/// What a path answers.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Page(usize),
    Slow(usize),
    Redirect(usize),
    Missing,
    Never,
    Garbage,
    ShortBody,
}

impl Site {
    /// Starts it on a port of the system's choice.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let served = Served::default();
        let record = served.clone();
        asyncio::spawn_local(async move {
            // It ends with its listener, when the loop does.
            while let Ok((stream, _)) = listener.accept().await {
                let record = record.clone();
                asyncio::spawn_local(async move {
                    // A client that goes away early is its own affair.
                    let _ = answer(stream, &record).await;
                })
                .detach();
            }
        })
        .detach();
        Ok(Self { addr, served })
    }
}

fn plan(path: &str) -> Answer {
    let number = path.strip_prefix("/page/").and_then(|number| number.parse::<usize>().ok());
    match (path, number) {
        ("/", _) => Answer::Page(0),
        ("/never", _) => Answer::Never,
        ("/garbage", _) => Answer::Garbage,
        ("/short", _) => Answer::ShortBody,
        (_, Some(number)) if number >= PAGES => Answer::Missing,
        (_, Some(number)) if number % 50 == 49 => Answer::Redirect(number - 1),
        (_, Some(number)) if number % 40 == 7 => Answer::Slow(number),
        (_, Some(number)) => Answer::Page(number),
        _ => Answer::Missing,
    }
}

async fn answer(mut stream: TcpStream, served: &Served) -> io::Result<()> {
    let path = read_path(&mut stream).await?;
    let record = |status, bytes| _ = served.borrow_mut().insert(path.clone(), (status, bytes));
    let plan = plan(&path);
    let (status, more, body) = match plan {
        Answer::Page(number) => (200, String::new(), page(number)),
        Answer::Slow(number) => {
            asyncio::sleep(Duration::from_millis(150)).await;
            (200, String::new(), page(number))
        }
        Answer::Redirect(number) => (302, format!("Location: /page/{number}\r\n"), String::new()),
        Answer::Missing => (404, String::new(), "<p>There is no such page.".into()),
        Answer::Never => {
            record(0, 0);
            return std::future::pending().await;
        }
        Answer::Garbage => {
            record(0, 0);
            return stream.write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n").await;
        }
        Answer::ShortBody => {
            record(0, 0);
            return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this").await;
        }
    };
    record(status, body.len());
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nConnection: close\r\n{more}");
    // Every third page comes in chunks.
    let response = if body.len() % 3 == 0 && !body.is_empty() {
        let (a, b) = body.split_at(body.len() / 2);
        let chunks = format!("{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", a.len(), b.len());
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}")
    } else {
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    stream.write_all(response.as_bytes()).await?;
    stream.close().await
}

async fn read_path(stream: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    let mut buf = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&buf[..n]);
    }
    let line = String::from_utf8_lossy(&request);
    Ok(line.split(' ').nth(1).unwrap_or("/").to_owned())
}

/// A page links to a few others, so that all can be reached from the first.
fn page(number: usize) -> String {
    let mut targets = vec![2 * number + 1, 2 * number + 2, (number * 7 + 3) % PAGES];
    targets.retain(|&target| target < PAGES);
    let mut body = format!("<!doctype html><title>Page {number}</title><h1>Page {number}</h1>\n<ul>");
    for target in targets {
        body.push_str(&format!("<li><a href=\"/page/{target}\">{target}</a>\n"));
    }
    if number % 100 == 0 {
        body.push_str(&format!("<li><a href='/page/{}'>broken</a>\n", PAGES + number));
    }
    if number == 0 {
        body.push_str(
            "<li><a href=/never>never</a> <a href=\"garbage\">garbage</a> <a href=\"./short\">short</a>",
        );
        body.push_str(
            " <a href=\"https://elsewhere.example/\">elsewhere</a> <a href=\"mailto:a@example.com\">mail</a>",
        );
    }
    body.push_str("</ul>\n");
    body.push_str(&"Lorem ipsum dolor sit amet. ".repeat(10 + number % 30));
    body
}
