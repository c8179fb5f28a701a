//! RESP, as far as clients send it: an array of bulk strings, or a line of words (redis.io, "Redis serialization protocol").
//!
//! Pure: bytes go in, commands come out, however the bytes are cut.

/// As Redis has them.
const ARGUMENTS_MAX: usize = 1024 * 1024;
const BULK_MAX: usize = 512 * 1024 * 1024;
const LINE_MAX: usize = 64 * 1024;

/// What stands at the beginning of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// A command, and how long it is. An empty line is one of no words.
    Command(Vec<&'a [u8]>, usize),
    /// More has to come.
    Incomplete,
    /// It cannot be made sense of.
    Wrong(&'static str),
}

/// Parses one command.
pub(crate) fn parse(input: &[u8]) -> Parsed<'_> {
    match input.first() {
        None => Parsed::Incomplete,
        Some(b'*') => array(input),
        Some(_) => inline(input),
    }
}

fn inline(input: &[u8]) -> Parsed<'_> {
    match line(input, 0) {
        Ok(Some((line, end))) => {
            let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            Parsed::Command(words.collect(), end)
        }
        Ok(None) => Parsed::Incomplete,
        Err(why) => Parsed::Wrong(why),
    }
}

fn array(input: &[u8]) -> Parsed<'_> {
    let mut words = Vec::new();
    let (count, mut at) = match number(input, 0, b'*', ARGUMENTS_MAX) {
        Ok(Some(found)) => found,
        Ok(None) => return Parsed::Incomplete,
        Err(why) => return Parsed::Wrong(why),
    };
    for _ in 0..count {
        let (len, begin) = match number(input, at, b'$', BULK_MAX) {
            Ok(Some(found)) => found,
            Ok(None) => return Parsed::Incomplete,
            Err(why) => return Parsed::Wrong(why),
        };
        let Some(end) = input.get(begin + len..begin + len + 2) else { return Parsed::Incomplete };
        if end != b"\r\n" {
            return Parsed::Wrong("a bulk string does not end where it says");
        }
        words.push(&input[begin..begin + len]);
        at = begin + len + 2;
    }
    Parsed::Command(words, at)
}

/// A line with a sigil and a number; gives that, and where the line ends.
fn number(input: &[u8], at: usize, sigil: u8, max: usize) -> Result<Option<(usize, usize)>, &'static str> {
    if input.get(at).is_some_and(|byte| *byte != sigil) {
        return Err(if sigil == b'$' { "expected '$'" } else { "expected '*'" });
    }
    let Some((line, end)) = line(input, at)? else { return Ok(None) };
    let text = std::str::from_utf8(line.get(1..).unwrap_or_default()).ok();
    match text.and_then(|text| text.parse::<usize>().ok()) {
        Some(number) if number <= max => Ok(Some((number, end))),
        _ => Err("invalid length"),
    }
}

fn line(input: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, &'static str> {
    let rest = input.get(at..).unwrap_or_default();
    match rest.iter().take(LINE_MAX).position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some((rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]), at + end + 1))),
        None if rest.len() >= LINE_MAX => Err("too big a line"),
        None => Ok(None),
    }
}

/// Checks that no beginning of `input` says anything else than the whole does, only less.
pub(crate) fn check(input: &[u8]) {
    let whole = parse(input);
    for cut in 0..input.len() {
        match (parse(&input[..cut]), &whole) {
            (Parsed::Incomplete, Parsed::Incomplete | Parsed::Wrong(_)) => {}
            (Parsed::Incomplete, Parsed::Command(_, len)) => assert!(cut < *len, "{cut} bytes of {len}"),
            (part, whole) => assert_eq!(part, *whole, "{cut} bytes"),
        }
    }
    if let Parsed::Command(words, len) = whole {
        assert!(len <= input.len() && words.iter().map(|word| word.len()).sum::<usize>() < len);
    }
}

/// What some input means, and that it does not depend on where that is cut.
pub(crate) fn check_examples() {
    let set: Vec<&[u8]> = vec![b"SET", b"a", b"\r\nb\n"];
    for (input, meaning) in [
        (&b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\nb\n\r\n"[..], Parsed::Command(set, 30)),
        (b" PING  x\r\nrest", Parsed::Command(vec![b"PING", b"x"], 10)),
        (b"\r\n", Parsed::Command(Vec::new(), 2)),
        (b"*0\r\n", Parsed::Command(Vec::new(), 4)),
        (b"*2\r\n$4\r\nECHO\r\n", Parsed::Incomplete),
        (b"*x\r\n", Parsed::Wrong("invalid length")),
        (b"*-1\r\n", Parsed::Wrong("invalid length")),
        (b"*99999999\r\n", Parsed::Wrong("invalid length")),
        (b"*1\r\n+OK\r\n", Parsed::Wrong("expected '$'")),
        (b"*1\r\n$1\r\nabc", Parsed::Wrong("a bulk string does not end where it says")),
    ] {
        assert_eq!(parse(input), meaning);
        check(input);
    }
}
