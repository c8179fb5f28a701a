//! What `"host:port"` means: an address if std says so, otherwise a name that can be one, which is asked for as it stands.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use asyncio_net::{Resolve, Resolving, lookup_host, with_resolver};

/// Knows every name, and who was asked for.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<(String, u16)>>>);

impl Resolve for Recorder {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        self.0.lock().unwrap().push((host.to_owned(), port));
        Box::pin(async move { Ok(vec![SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), port))]) })
    }
}

/// Says whether `inet_aton(3)`, and so `getaddrinfo`, takes it for an address: one to four numbers, in C's notation.
fn is_numeric(host: &str) -> bool {
    let is_number = |part: &str| match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some(hex) => hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()),
    };
    host.split('.').count() <= 4 && host.split('.').all(is_number)
}

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // With an interface it is the system that knows its number.
    if text.contains('%') {
        return;
    }
    let recorder = Recorder::default();
    let answer = asyncio_executor::block_on(with_resolver(recorder.clone(), lookup_host(text)));
    let asked = recorder.0.lock().unwrap().clone();
    if let Ok(addr) = text.parse::<SocketAddr>() {
        assert_eq!(answer.unwrap(), [addr]);
        assert!(asked.is_empty(), "{text:?} is an address");
        return;
    }
    let Some((host, port)) = asked.first() else {
        // Refused, and by an error that says what.
        let error = answer.expect_err("nobody was asked");
        assert!(!error.to_string().is_empty());
        return;
    };
    assert_eq!(answer.unwrap(), [SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), *port))]);
    assert_eq!(asked.len(), 1);
    let (before, after) = text.rsplit_once(':').expect("a port was found");
    assert!(after.bytes().all(|byte| byte.is_ascii_digit()), "{after:?}");
    assert_eq!((before, after.parse()), (&**host, Ok(*port)), "asked for as it stands");
    let name = host.strip_suffix('.').unwrap_or(host);
    assert!(!name.is_empty() && name.len() <= 253 && !is_numeric(name), "{host:?}");
    assert!(name.split('.').all(|label| (1..=63).contains(&label.len())), "{host:?}");
    assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'), "{host:?}");
}
