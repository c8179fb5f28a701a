//! What may be the name of a host. The limits are those of RFC 1035, section 2.3.4.

use std::io;

/// Refuses what cannot be a name, and what `getaddrinfo` would cut short or take for something else.
pub(super) fn validate(host: &str) -> io::Result<()> {
    match fault(host) {
        None => Ok(()),
        Some(why) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the host name {host:?} {why}")))
        }
    }
}

/// Says whether it is an address of IPv6 with the interface that it is of, as in `fe80::1%eth0` (RFC 4007): the system knows the number of that.
pub(super) fn is_zoned(host: &str) -> bool {
    let Some((ip, zone)) = host.split_once('%') else { return false };
    // As long as interfaces' names are, on the systems that we know.
    let is_zone =
        (1..=32).contains(&zone.len()) && zone.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%');
    ip.parse::<std::net::Ipv6Addr>().is_ok() && is_zone
}

fn fault(host: &str) -> Option<&'static str> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let mut labels = name.split('.');
    Some(if name.is_empty() {
        "is empty"
    } else if name.contains('\0') {
        "contains a NUL"
    } else if !name.is_ascii() {
        "is not in ASCII: write it in its IDNA form, as in \"xn--bcher-kva.example\""
    } else if name.len() > 253 {
        "is longer than 253 octets"
    } else if labels.any(|label| label.is_empty() || label.len() > 63) {
        "has a label that is empty or longer than 63 octets"
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        "contains white space"
    } else if name.contains([':', '%', '[', ']', '/', '@']) {
        "contains a character that no name has"
    } else if ends_in_number(name) {
        "is a number, and no address: write an IPv4 address as four decimal numbers"
    } else {
        return None;
    })
}

/// As the URL standard has it ("ends in a number checker"): `getaddrinfo` takes `127.1`, `0x7f.1` and `017700000001` for addresses, which a check of addresses
/// in front of it has not seen as such.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_hex = || {
        let digits = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
        digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    last.bytes().all(|byte| byte.is_ascii_digit()) || is_hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row DN 1 of `reference/reliability.md`.
    #[test]
    fn at_the_limits() {
        let label = |len| "a".repeat(len);
        // Of 1 to 63 octets and a dot each.
        let name = |len: usize| {
            let whole = [label(63), label(63), label(63)].join(".");
            let rest = len - whole.len() - 1;
            format!(
                "{whole}.{}",
                if rest > 63 { format!("{}.{}", label(rest - 2), "a") } else { label(rest) }
            )
        };
        for good in [
            "a",
            "a.",
            "localhost",
            "a-b_c.d",
            "1a",
            "a.1b",
            "0xg",
            "xn--bcher-kva.example",
            &label(63),
            &name(253),
        ] {
            assert_eq!(fault(good), None, "{good:?}");
        }
        assert_eq!(fault(&format!("{}.", name(253))), None, "the dot at the end does not count");
        for (bad, why) in [
            ("", "empty"),
            (".", "empty"),
            ("a..b", "label"),
            (".a", "label"),
            (&label(64), "label"),
            (&name(254), "longer than 253"),
            (&name(255), "longer than 253"),
            (&name(300), "longer than 253"),
            ("a\0.com", "NUL"),
            ("bücher.example", "IDNA"),
            ("a b", "white space"),
            ("a\n", "white space"),
            ("::1%", "no name has"),
            ("[::1]", "no name has"),
            ("user@host", "no name has"),
            ("127.1", "number"),
            ("0x7f.1", "number"),
            ("0x7f000001", "number"),
            ("017700000001", "number"),
            ("2130706433", "number"),
            ("1.2.3.4.5", "number"),
            ("1.2.3.400", "number"),
            ("1.2.3.4.", "number"),
            ("a.0x", "number"),
        ] {
            assert!(fault(bad).is_some_and(|fault| fault.contains(why)), "{bad:?}: {:?}", fault(bad));
        }
    }
}
