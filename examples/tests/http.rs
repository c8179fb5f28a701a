//! `http_server` as curl and h2load see it: HTTP/1.1 and HTTP/2, on our streams.

#![cfg(unix)]

mod built;
mod served;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use served::Server;

fn curl(server: &Server, path: &str, arguments: &[&str]) -> Option<Output> {
    let url = format!("http://127.0.0.1:{}{path}", server.port);
    served::run(
        Command::new("curl")
            .args(["-q", "--noproxy", "*", "--silent", "--show-error", "--max-time", "60", &url])
            .args(arguments),
    )
}

/// A file of three million bytes, all of which differ from their neighbours.
struct Body(PathBuf);

impl Body {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("asyncio-http-{}-{name}", std::process::id()));
        let bytes: Vec<u8> =
            (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        fs::write(&path, bytes).expect("there is room");
        Self(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("it is ASCII")
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.0).expect("it was written")
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // Whoever cleans the folder may have come first.
        let _ = fs::remove_file(&self.0);
    }
}

/// And how curl prints them.
const VERSIONS: [(&str, &str); 3] =
    [("--http1.0", "1"), ("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")];

#[test]
fn curl_is_answered_in_every_version() {
    let server = Server::start("http_server");
    for (version, number) in VERSIONS {
        let answer = curl(&server, "/", &[version, "--write-out", "%{http_version} %{http_code}"]);
        let Some(answer) = answer else { return };
        assert_eq!(String::from_utf8_lossy(&answer.stdout), format!("Hello, World!\n{number} 200"));
        let missing =
            curl(&server, "/none", &[version, "--write-out", "%{http_code}"]).expect("it ran before");
        assert_eq!(String::from_utf8_lossy(&missing.stdout), "there is no such page\n404");
        let head = curl(&server, "/", &[version, "--head"]).expect("it ran before");
        let head = String::from_utf8_lossy(&head.stdout).to_lowercase();
        assert!(head.contains("content-length: 14"), "{head}");
    }
}

/// By https, where the two agree on the protocol in the handshake; with a certificate that is made for this.
#[test]
fn curl_agrees_on_http2_under_tls() {
    let body = Body::new("tls");
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a name");
    let (chain, key) = (format!("{}.pem", body.text()), format!("{}.key", body.text()));
    fs::write(&chain, cert.pem()).expect("there is room");
    fs::write(&key, signing_key.serialize_pem()).expect("there is room");
    let server = Server::start_with("http_server", &[&chain, &key]);
    let (url, data) = (format!("https://localhost:{}/echo", server.port), format!("@{}", body.text()));
    for (version, number) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let mut curl = Command::new("curl");
        curl.args([
            "-q",
            "--noproxy",
            "*",
            "--silent",
            "--show-error",
            "--max-time",
            "60",
            "--cacert",
            &chain,
        ]);
        curl.args([version, &url, "--data-binary", &data, "--write-out", "%{stderr}%{http_version}"]);
        let Some(answer) = served::run(&mut curl) else { break };
        assert!(answer.stdout == body.bytes(), "{version}: {} bytes", answer.stdout.len());
        assert_eq!(String::from_utf8_lossy(&answer.stderr), number);
    }
    fs::remove_file(chain).expect("it was written");
    fs::remove_file(key).expect("it was written");
}

#[test]
fn what_is_sent_comes_back_while_it_is_sent() {
    let server = Server::start("http_server");
    let body = Body::new("echo");
    let data = format!("@{}", body.text());
    for (version, _) in &VERSIONS[1..] {
        // In one piece that begins with a question (`Expect: 100-continue`), in chunks, and by PUT.
        for upload in [
            &["--data-binary", &data][..],
            &["--data-binary", &data, "--header", "Transfer-Encoding: chunked"],
            &["--upload-file", body.text()],
        ] {
            // HTTP/2 has chunks of its own.
            if *version == "--http2-prior-knowledge" && upload.len() > 2 {
                continue;
            }
            let Some(answer) = curl(&server, "/echo", &[&[*version], upload].concat()) else { return };
            assert!(answer.stdout == body.bytes(), "{version} {upload:?}: {} bytes", answer.stdout.len());
        }
    }
}

#[test]
fn many_requests_share_a_connection() {
    let server = Server::start("http_server");
    let url = format!("http://127.0.0.1:{}/", server.port);
    let mut arguments = vec!["--http1.1", "--write-out", "|%{num_connects}|"];
    arguments.extend([&*url; 99]);
    let Some(answer) = curl(&server, "/", &arguments) else { return };
    let said = String::from_utf8_lossy(&answer.stdout);
    assert_eq!(said.matches("Hello, World!").count(), 100);
    let made: usize = said.split('|').filter_map(|word| word.parse::<usize>().ok()).sum();
    assert_eq!(made, 1, "{said}");
}

/// Fifty at once on each of four connections, with bodies that go both ways. (Not with curl: its 7.88 cannot use an HTTP/2 connection
/// twice that was begun with prior knowledge, whoever the server is.)
#[test]
fn streams_of_http2_run_side_by_side() {
    let server = Server::start("http_server");
    let body = Body::new("h2load");
    for (path, requests, bytes) in [("/", "4000", 4000 * 14), ("/echo", "200", 200 * 3_000_000)] {
        let url = format!("http://127.0.0.1:{}{path}", server.port);
        let mut load = Command::new("h2load");
        load.args(["-n", requests, "-c", "4", "-m", "50", &url]);
        if path == "/echo" {
            load.args(["-d", body.text()]);
        }
        let Some(output) = served::run(&mut load) else { return };
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(&format!("{requests} succeeded, 0 failed, 0 errored, 0 timeout")), "{said}");
        assert!(said.contains(&format!("({bytes}) data")), "{said}");
    }
}

/// At the moment of Ctrl-C one client is idle, one has not said a word, and one is in the midst of a request: it gets its answer.
#[test]
fn it_ends_gracefully() {
    let mut server = Server::start("http_server");
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("it is not zero");
        stream
    };
    let (mut silent, mut idle, mut busy) = (connect(), connect(), connect());
    let read_until = |stream: &mut TcpStream, wanted: &str| {
        let mut said = String::new();
        let mut buf = [0; 1024];
        while !said.contains(wanted) {
            let n = stream.read(&mut buf).expect("it answers");
            assert!(n > 0, "it ended after {said:?}");
            said.push_str(&String::from_utf8_lossy(&buf[..n]));
        }
    };
    idle.write_all(b"GET / HTTP/1.1\r\nhost: it\r\n\r\n").expect("it reads");
    read_until(&mut idle, "Hello");
    busy.write_all(b"POST /echo HTTP/1.1\r\nhost: it\r\ncontent-length: 10\r\n\r\nfirst").expect("it reads");
    read_until(&mut busy, "first");
    let pid = Pid::from_child(&server.child);
    kill_process(pid, Signal::INT).expect("it is ours");
    // The idle one is let go at once; afterwards nobody listens any more.
    assert_eq!(idle.read(&mut [0; 64]).expect("the end"), 0);
    assert_eq!(silent.read(&mut [0; 64]).expect("the end"), 0);
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", server.port)).is_ok() {
        assert!(Instant::now() < end, "it listens still");
        std::thread::yield_now();
    }
    busy.write_all(b"after").expect("it still reads");
    read_until(&mut busy, "after");
    assert!(server.child.wait().expect("it is ours").success());
}
