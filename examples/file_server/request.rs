//! What a client asks for: a file of the folder, and which part of it.

use std::path::{Component, Path, PathBuf};

/// A request, as far as it matters here.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub is_head: bool,
    pub path: PathBuf,
    pub range: Option<ByteRange>,
    /// The connection ends behind the answer.
    pub closes: bool,
}

/// What is answered instead of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refusal(pub u16, pub &'static str);

pub const BAD_REQUEST: Refusal = Refusal(400, "Bad Request");
pub const NOT_FOUND: Refusal = Refusal(404, "Not Found");
pub const METHOD_NOT_ALLOWED: Refusal = Refusal(405, "Method Not Allowed");
pub const SERVER_ERROR: Refusal = Refusal(500, "Internal Server Error");

/// A part of a file, as it is asked for (RFC 9110, 14.1.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ByteRange {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

impl ByteRange {
    /// One range of bytes. Anything else is passed over, as RFC 9110 wants it; several ranges may be, and are.
    fn parse(value: &[u8]) -> Option<Self> {
        let value = std::str::from_utf8(value).ok()?;
        let (first, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        match (first, last) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// Which bytes of a file so long; `None` where it has none of them.
    pub fn of(self, len: u64) -> Option<std::ops::Range<u64>> {
        let range = match self {
            Self::From(first) => first..len,
            Self::Between(first, last) => first..len.min(last.saturating_add(1)),
            Self::Last(count) => len.saturating_sub(count)..len,
        };
        (range.start < range.end).then_some(range)
    }
}

/// Reads a head, which ends with its first empty line: if the parser sees it end before, somebody else may take what is behind that for another request.
pub fn parse(head: &[u8]) -> Result<Request, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let is_whole = request.parse(head) == Ok(httparse::Status::Complete(head.len()));
    let (Some(method), Some(target), true) = (request.method, request.path, is_whole) else {
        return Err(BAD_REQUEST);
    };
    if !["GET", "HEAD"].contains(&method) {
        return Err(METHOD_NOT_ALLOWED);
    }
    // Each of that name, and as it is: what cannot be read is there all the same.
    let headers = &*request.headers;
    let values = |name: &'static str| {
        let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value)
    };
    // What follows is then a body, which is none of ours.
    let has_body =
        values("transfer-encoding").next().is_some() || values("content-length").any(|len| len != b"0");
    let says_close = |value: &[u8]| value.to_ascii_lowercase().windows(5).any(|word| word == b"close");
    // A range with a condition is one of a version of the file, of which nothing is known here.
    let takes_range = method == "GET" && values("if-range").next().is_none();
    Ok(Request {
        is_head: method == "HEAD",
        path: path(target).ok_or(NOT_FOUND)?,
        range: values("range").next().filter(|_| takes_range).and_then(ByteRange::parse),
        closes: has_body || values("connection").any(says_close) || request.version != Some(1),
    })
}

/// A path inside of the folder, of names alone: nothing leads out of it.
fn path(target: &str) -> Option<PathBuf> {
    let target = target.split(['?', '#']).next()?;
    let decoded = decode(target.strip_prefix('/')?)?;
    let path = Path::new(&decoded);
    let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_inside && !decoded.contains('\0')).then(|| path.to_owned())
}

/// Takes `%41` for `A`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
