//! One GET over HTTP/1.1 (RFC 9112): the head by `httparse`, the body by length, by chunks, or to the end of the connection.

use std::fmt;
use std::io;

use asyncio::net::tls::TlsConnector;
use asyncio::net::{ConnectOptions, TcpStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::links::{Scheme, Url};

/// What a server said.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub location: Option<String>,
    pub is_html: bool,
    pub body: Vec<u8>,
}

/// Why there is no response. The kinds are what the crawler's table counts.
#[derive(Debug)]
pub enum Error {
    NoSuchHost(io::Error),
    Refused(io::Error),
    /// It is not whom it says, or speaks no TLS.
    NotTrusted(io::Error),
    Io(io::Error),
    NotHttp(String),
    /// The body ended before the length it had told, or did not keep to its own form.
    BadBody(String),
    TooLarge,
}

/// What a page may have, so that a server that never ends costs no memory.
const HEAD_MAX: usize = 64 * 1024;
const BODY_MAX: usize = 16 * 1024 * 1024;

/// Gets a page on a connection of its own.
pub async fn get(url: &Url, tls: &TlsConnector) -> Result<Response, Error> {
    let addrs = asyncio::net::lookup_host((url.host_name(), url.port)).await.map_err(Error::NoSuchHost)?;
    let options = match url.scheme {
        Scheme::Http => ConnectOptions::new(),
        Scheme::Https => ConnectOptions::new().tls(tls.clone(), url.host_name()),
    };
    let mut stream = options.connect(&addrs[..]).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::Refused(error),
        io::ErrorKind::InvalidData => Error::NotTrusted(error),
        _ => Error::Io(error),
    })?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: asyncio-crawler/0.1\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        url.path,
        url.authority()
    );
    stream.write_all(request.as_bytes()).await.map_err(Error::Io)?;
    let mut reader = Reader { stream, buffer: Vec::new(), at: 0 };
    let head = read_head(&mut reader).await?;
    let body = read_body(&mut reader, &head).await?;
    Ok(Response { status: head.status, location: head.location, is_html: head.is_html, body })
}

struct Head {
    status: u16,
    location: Option<String>,
    is_html: bool,
    framing: Framing,
}

enum Framing {
    Length(usize),
    Chunked,
    ToTheEnd,
}

async fn read_head(reader: &mut Reader) -> Result<Head, Error> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(reader.unread()) {
            Ok(httparse::Status::Complete(length)) => {
                // An interim response (RFC 9110, section 15.2) is passed over.
                let head = (response.code.unwrap_or(0) >= 200).then(|| understand(&response));
                reader.consume(length);
                if let Some(head) = head {
                    return head;
                }
            }
            Ok(httparse::Status::Partial) if reader.unread().len() > HEAD_MAX => return Err(Error::TooLarge),
            Ok(httparse::Status::Partial) => {
                if reader.fill().await? == 0 {
                    let seen = reader.unread().len();
                    return Err(Error::NotHttp(format!("the connection ended after {seen} bytes of a head")));
                }
            }
            Err(error) => return Err(Error::NotHttp(error.to_string())),
        }
    }
}

fn understand(response: &httparse::Response<'_, '_>) -> Result<Head, Error> {
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(header.value).trim().to_owned())
    };
    let status = response.code.unwrap_or(0);
    let framing = if matches!(status, 204 | 304) {
        Framing::Length(0)
    } else if value("transfer-encoding")
        .is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"))
    {
        Framing::Chunked
    } else if let Some(length) = value("content-length") {
        let length = length.parse().map_err(|_| Error::BadBody(format!("{length:?} is not a length")))?;
        Framing::Length(length)
    } else {
        Framing::ToTheEnd
    };
    let is_html = value("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    Ok(Head { status, location: value("location"), is_html, framing })
}

async fn read_body(reader: &mut Reader, head: &Head) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    match head.framing {
        Framing::Length(length) => reader.take(length, &mut body).await?,
        Framing::Chunked => loop {
            let line = reader.line().await?;
            let size = line.split(';').next().unwrap_or("").trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| Error::BadBody(format!("{size:?} is not a chunk's size")))?;
            if size == 0 {
                // Trailers, up to an empty line.
                while !reader.line().await?.is_empty() {}
                break;
            }
            reader.take(size, &mut body).await?;
            if !reader.line().await?.is_empty() {
                return Err(Error::BadBody("a chunk is longer than it says".into()));
            }
        },
        Framing::ToTheEnd => loop {
            body.extend_from_slice(reader.unread());
            reader.consume(reader.unread().len());
            if body.len() > BODY_MAX {
                return Err(Error::TooLarge);
            }
            if reader.fill().await? == 0 {
                break;
            }
        },
    }
    Ok(body)
}

/// A stream and what was read ahead of it.
struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    at: usize,
}

impl Reader {
    fn unread(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
    }

    /// Reads more; 0 is the end.
    async fn fill(&mut self) -> Result<usize, Error> {
        let mut chunk = [0; 8192];
        let n = self.stream.read(&mut chunk).await.map_err(Error::Io)?;
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(n)
    }

    async fn take(&mut self, mut count: usize, body: &mut Vec<u8>) -> Result<(), Error> {
        if body.len().saturating_add(count) > BODY_MAX {
            return Err(Error::TooLarge);
        }
        while count > 0 {
            if self.unread().is_empty() && self.fill().await? == 0 {
                return Err(Error::BadBody(format!(
                    "the connection ended {count} bytes before the body's end"
                )));
            }
            let n = count.min(self.unread().len());
            body.extend_from_slice(&self.unread()[..n]);
            self.consume(n);
            count -= n;
        }
        Ok(())
    }

    async fn line(&mut self) -> Result<String, Error> {
        loop {
            if let Some(end) = self.unread().iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&self.unread()[..end]).trim_end().to_owned();
                self.consume(end + 1);
                return Ok(line);
            }
            if self.unread().len() > HEAD_MAX || self.fill().await? == 0 {
                return Err(Error::BadBody("the connection ended inside of a chunk's size".into()));
            }
        }
    }
}

impl Error {
    /// One word for the table.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoSuchHost(_) => "no such host",
            Self::Refused(_) => "refused",
            Self::NotTrusted(_) => "not trusted",
            Self::Io(_) => "connection failed",
            Self::NotHttp(_) => "not HTTP",
            Self::BadBody(_) => "bad body",
            Self::TooLarge => "too large",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchHost(error) | Self::Refused(error) | Self::NotTrusted(error) | Self::Io(error) => {
                write!(f, "{}: {error}", self.kind())
            }
            Self::NotHttp(why) | Self::BadBody(why) => write!(f, "{}: {why}", self.kind()),
            Self::TooLarge => write!(f, "too large: over {} MiB", BODY_MAX >> 20),
        }
    }
}

impl std::error::Error for Error {}
