//! Addresses and the links of a page: as much of RFC 3986 and of HTML as a crawler of one host needs.

use std::fmt;

/// How a place is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A place on one host: `http://host:port/path?query`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Url {
    pub scheme: Scheme,
    /// As it stands in the `Host` header: a name or an address, in brackets if it is IPv6.
    pub host: String,
    pub port: u16,
    /// Begins with a slash; with the query.
    pub path: String,
}

impl Url {
    /// Reads an absolute address.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| format!("{text:?} is not an address: write http://host/path"))?;
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known.name()))
            .ok_or_else(|| format!("{scheme}:// is not supported: only http:// and https://"))?;
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| format!("{port:?} is not a port"))?)
            }
            _ => (authority, scheme.default_port()),
        };
        if host.is_empty() {
            return Err(format!("{text:?} has no host"));
        }
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port, path: normalized(path) })
    }

    /// Follows a link that stands on this page. `None` where it leads to another host or is not a page.
    pub fn join(&self, link: &str) -> Option<Self> {
        let link = link.trim().split('#').next().unwrap_or("");
        let lower = link.to_ascii_lowercase();
        let target = if lower.starts_with("http://") || lower.starts_with("https://") {
            Self::parse(link).ok()?
        } else if link.starts_with("//") {
            Self::parse(&format!("{}:{link}", self.scheme.name())).ok()?
        } else if link.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
            return None; // mailto:, javascript: and the like
        } else if link.is_empty() {
            return None;
        } else {
            let folder = self.path.split('?').next().unwrap_or("/");
            let path = match link.as_bytes()[0] {
                b'/' => link.to_owned(),
                b'?' => format!("{folder}{link}"),
                _ => format!("{}{link}", &folder[..=folder.rfind('/').unwrap_or(0)]),
            };
            Self { path: normalized(&path), ..self.clone() }
        };
        let is_here =
            |other: &Self| (other.scheme, &other.host, other.port) == (self.scheme, &self.host, self.port);
        Some(target).filter(is_here)
    }

    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The host without brackets, as name look-up wants it.
    pub fn host_name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path)
    }
}

/// Takes `.` and `..` out of a path (RFC 3986, section 5.2.4), and makes it begin with a slash.
fn normalized(path: &str) -> String {
    let (path, query) = match path.find('?') {
        Some(at) => path.split_at(at),
        None => (path, ""),
    };
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = path.trim_start_matches('/').split('/').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if is_last {
                    segments.push("");
                }
            }
            part => segments.push(part),
        }
    }
    format!("/{}{query}", segments.join("/"))
}

/// Finds what a page links to: the values of `href` and `src`. Not an HTML parser, and proof against anything.
pub fn links_of(page: &str) -> Vec<String> {
    let lower = page.to_ascii_lowercase();
    let mut links = Vec::new();
    for attribute in ["href", "src"] {
        let mut at = 0;
        while let Some(found) = lower[at..].find(attribute) {
            at += found + attribute.len();
            let rest = page[at..].trim_start();
            let Some(value) = rest.strip_prefix('=').map(str::trim_start) else { continue };
            let value = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split(quote).next(),
                _ => value.split([' ', '>', '\t', '\n', '\r']).next(),
            };
            links.extend(value.map(|value| value.replace("&amp;", "&")));
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let url = Url::parse("http://User@Example.COM:8080/a/../b/./c?q=1").unwrap();
        assert_eq!(url.to_string(), "http://example.com:8080/b/c?q=1");
        assert_eq!(Url::parse("http://h").unwrap().to_string(), "http://h/");
        assert_eq!(Url::parse("http://[::1]:81/x").unwrap().host_name(), "::1");
        assert_eq!(Url::parse("HTTPS://h/x").unwrap().to_string(), "https://h/x");
        assert_eq!(Url::parse("https://h:80/x").unwrap().authority(), "h:80");
        for wrong in ["ftp://h/", "h/x", "http://", "http://h:99999/"] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn links() {
        let page = Url::parse("http://h/a/b?x").unwrap();
        let joined = |link| page.join(link).map(|url| url.path);
        assert_eq!(joined("c"), Some("/a/c".into()));
        assert_eq!(joined("../../c/"), Some("/c/".into()));
        assert_eq!(joined("/c#d"), Some("/c".into()));
        assert_eq!(joined("?y"), Some("/a/b?y".into()));
        for elsewhere in ["http://other/", "mailto:a@b", "https://h/", "#top", "", "//other/x"] {
            assert_eq!(joined(elsewhere), None, "{elsewhere}");
        }
        let html = "<A HREF='x'>…</a><img src=y><a href = \"z?a=1&amp;b=2\">é<a href=";
        assert_eq!(links_of(html), ["x", "z?a=1&b=2", "", "y"]);
    }
}
