//! `file_server` and `socks_proxy` as curl sees them: whole files, parts of them, what was broken off and goes on, and all of it through the proxy.

#![cfg(unix)]

mod built;
mod served;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use served::Server;

/// A folder with a file of five million bytes, all of which differ from their neighbours.
struct Folder(PathBuf, Vec<u8>);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("asyncio-bulk-{}-{name}", std::process::id()));
        let bytes: Vec<u8> =
            (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        fs::create_dir(&path).expect("it is new");
        fs::write(path.join("file"), &bytes).expect("there is room");
        Self(path, bytes)
    }

    fn text(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("it is ASCII").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever cleans the folder may have come first.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What curl prints; `None` where it is not installed.
fn curl(url: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut curl = Command::new("curl");
    curl.args(["-q", "--noproxy", "", "--silent", "--show-error", "--fail", "--max-time", "60", url]);
    served::run(curl.args(arguments)).map(|output| output.stdout)
}

#[test]
fn curl_has_files_whole_and_in_parts() {
    let folder = Folder::new("parts");
    let server = Server::start_with("file_server", &[&folder.text("")]);
    let url = format!("http://127.0.0.1:{}/file", server.port);
    let bytes = &folder.1;
    for (range, expected) in [
        (None, &bytes[..]),
        (Some("0-0"), &bytes[..1]),
        (Some("1000000-1999999"), &bytes[1_000_000..2_000_000]),
        (Some("4999999-"), &bytes[4_999_999..]),
        (Some("-7"), &bytes[bytes.len() - 7..]),
    ] {
        let arguments: Vec<&str> = range.iter().flat_map(|range| ["-r", range]).collect();
        let Some(came) = curl(&url, &arguments) else { return };
        assert!(came == expected, "{range:?}: {} bytes", came.len());
    }
    // What a broken-off download has already.
    let part = folder.text("part");
    fs::write(&part, &bytes[..1_234_567]).expect("there is room");
    curl(&url, &["-C", "-", "-o", &part]);
    assert!(fs::read(&part).expect("it was written") == *bytes);
    // Several on one connection.
    let count = "%{stderr}%{num_connects}";
    let mut several = Command::new("curl");
    several.args(["-q", "--noproxy", "*", "-s", "--write-out", count, "-r", "0-9", &url, &url, &url]);
    let output = served::run(&mut several).expect("it is installed");
    assert_eq!(output.stdout, bytes[..10].repeat(3));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "100", "one connection for all");
}

#[test]
fn curl_goes_through_the_proxy() {
    let folder = Folder::new("proxied");
    let server = Server::start_with("file_server", &[&folder.text("")]);
    let proxy = Server::start("socks_proxy");
    for (kind, host) in [("--socks5", "127.0.0.1"), ("--socks5-hostname", "localhost")] {
        let url = format!("http://{host}:{}/file", server.port);
        let Some(came) = curl(&url, &[kind, &format!("127.0.0.1:{}", proxy.port)]) else { return };
        assert!(came == folder.1, "{kind}: {} bytes", came.len());
    }
}
