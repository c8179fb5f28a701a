//! The crawler against the embedded site, against another crawler, and against servers that misbehave.

mod built;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use asyncio::net::tls::TlsConnector;
use examples::crawl::{Options, Report, crawl};
use examples::links::Url;
use examples::site::{PAGES, Site};

fn options() -> Options {
    let tls = TlsConnector::new().unwrap();
    Options { concurrency: 8, timeout: Duration::from_millis(700), pages_max: 10_000, tls }
}

fn report_of(url: &str) -> Report {
    asyncio::run(crawl(Url::parse(url).unwrap(), options(), Box::new(|_, _| ()), |_| ()))
}

#[test]
fn the_report_equals_page_by_page_what_the_site_served() {
    asyncio::run(async {
        let site = Site::start().await.unwrap();
        let start = Url::parse(&format!("http://{}/", site.addr)).unwrap();
        let report = crawl(start, options(), Box::new(|_, _| ()), |_| ()).await;
        let served = site.served.borrow();
        assert!(served.len() > PAGES);
        let crawled: BTreeSet<(String, u16, usize)> = report
            .pages
            .iter()
            .map(|page| (Url::parse(&page.url).unwrap().path, page.status, page.bytes))
            .collect();
        let expected = served.iter().map(|(path, &(status, bytes))| (path.clone(), status, bytes)).collect();
        assert_eq!(crawled, expected);
        assert_eq!(report.totals.pages, served.len());
        // The whole report survives being written down.
        let json = serde_json::to_string(&report).unwrap();
        let again: Report = serde_json::from_str(&json).unwrap();
        assert_eq!(again.totals.errors, report.totals.errors);
    });
}

#[test]
fn it_stops_where_it_is_told_to() {
    asyncio::run(async {
        let site = Site::start().await.unwrap();
        let start = Url::parse(&format!("http://{}/", site.addr)).unwrap();
        let few = Options { pages_max: 20, ..options() };
        let report = crawl(start.clone(), few, Box::new(|_, _| ()), |_| ()).await;
        assert_eq!(report.pages.len(), 20);
        let report = crawl(start, options(), Box::new(|_, _| ()), |stop| {
            asyncio::spawn_local(async move {
                asyncio::sleep(Duration::from_millis(20)).await;
                stop.stop();
            })
            .detach();
        })
        .await;
        assert!(report.totals.interrupted);
        assert!(report.pages.len() < PAGES, "{} pages in 20 ms", report.pages.len());
    });
}

/// Answers each connection with these bytes, and then closes it, or keeps it open.
fn server(answer: &'static [u8], keeps_open: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
            if keeps_open {
                kept.push(stream);
            }
        }
    });
    format!("http://{addr}/")
}

#[test]
fn whatever_goes_wrong_is_a_row_of_the_table() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ok = "HTTP/1.1 200 OK\r\n";
    let leaked = |text: String| -> &'static [u8] { text.leak().as_bytes() };
    let cases: Vec<(String, &str)> = vec![
        (format!("http://{closed}/"), "refused"),
        ("http://no-such-host.invalid/".into(), "no such host"),
        (server(b"HTTP/1.1 200 OK\r\n\r\n", false).replace("http:", "https:"), "not trusted"),
        (server(b"\x16\x03\x01\x02", false), "not HTTP"),
        (server(b"", false), "not HTTP"),
        (server(b"HTTP/1.1 200", false), "not HTTP"),
        (server(leaked(format!("{ok}Content-Length: 10\r\n\r\nshort")), false), "bad body"),
        (server(leaked(format!("{ok}Content-Length: many\r\n\r\nx")), false), "bad body"),
        (server(leaked(format!("{ok}Content-Length: 99999999999\r\n\r\nx")), false), "too large"),
        (server(leaked(format!("{ok}Content-Length: 10\r\n\r\nshort")), true), "timed out"),
        (server(leaked(format!("{ok}Transfer-Encoding: chunked\r\n\r\nzz\r\n")), false), "bad body"),
        (
            server(leaked(format!("{ok}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")), false),
            "too large",
        ),
        (server(leaked(format!("{ok}Transfer-Encoding: chunked\r\n\r\n2\r\nabcdef\r\n")), false), "bad body"),
        (server(leaked(format!("{ok}X: {}\r\n\r\n", "y".repeat(100_000))), false), "too large"),
        (server(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", false), "status 503"),
    ];
    for (url, expected) in cases {
        let report = report_of(&url);
        assert_eq!(report.pages.len(), 1, "{url}");
        assert_eq!(report.totals.errors.keys().collect::<Vec<_>>(), [expected], "{url}: {:?}", report.pages);
        assert!(report.pages[0].error.is_some());
    }
    assert!(Url::parse("ftp://example.com/").unwrap_err().contains("not supported"));
}

/// A process that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn html_files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            html_files_below(&entry.path(), found);
        } else if entry.path().extension().is_some_and(|extension| extension == "html") {
            found.push(entry.path());
        }
    }
}

/// The documentation of the smallest crate, served by Python and crawled by us and by wget.
#[test]
fn it_finds_the_pages_that_wget_finds() {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !has("wget") || !has("python3") {
        eprintln!("left out: this machine has no wget or no python3");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = root.join("target/doc-to-crawl");
    let doc = built::cargo()
        .args(["doc", "--quiet", "--no-deps", "--package", "asyncio-base", "--target-dir"])
        .arg(&target)
        .current_dir(root)
        .status();
    assert!(doc.unwrap().success());

    // Port 0 is not for http.server to tell; a free one is asked for first.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut python = Command::new("python3");
    python
        .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
        .current_dir(target.join("doc"));
    let _server = Killed(python.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::yield_now();
    }
    let start = format!("http://127.0.0.1:{port}/asyncio_base/index.html");

    let mirror = target.join("mirror");
    let _ = std::fs::remove_dir_all(&mirror);
    // wget fails where one page is missing; what it found counts.
    let wget = Command::new("wget")
        .args(["--quiet", "--mirror", "--directory-prefix"])
        .arg(&mirror)
        .arg(&start)
        .status();
    wget.unwrap();
    let mut files = Vec::new();
    html_files_below(&mirror, &mut files);
    let top = mirror.join(format!("127.0.0.1:{port}"));
    let theirs: BTreeSet<String> =
        files.iter().map(|file| format!("/{}", file.strip_prefix(&top).unwrap().display())).collect();

    // Python's backlog is 5; a connection beyond it is tried again by the kernel after a second.
    let patient = Options { timeout: Duration::from_secs(20), ..options() };
    let report = asyncio::run(crawl(Url::parse(&start).unwrap(), patient, Box::new(|_, _| ()), |_| ()));
    let ours: BTreeSet<String> = report
        .pages
        .iter()
        .filter(|page| page.status == 200)
        .map(|page| Url::parse(&page.url).unwrap().path)
        .filter(|path| path.split('?').next().unwrap().ends_with(".html"))
        .collect();
    assert!(theirs.len() > 20, "wget found {theirs:?}");
    let missed: Vec<_> = theirs.difference(&ours).collect();
    assert!(missed.is_empty(), "wget finds what we do not: {missed:?}");
    let more: Vec<_> = ours.difference(&theirs).collect();
    assert!(more.is_empty(), "we find what wget does not: {more:?}");
}

/// A site of OpenSSL's, under an authority of ours: by the program itself.
#[test]
fn it_crawls_a_site_with_tls() {
    let folder = std::env::temp_dir().join(format!("asyncio-crawler-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    write("roots.pem", &authority.pem());
    write("server.pem", &params.signed_by(&key, &authority).unwrap().pem());
    write("server.key", &key.serialize_pem());
    const COUNT: usize = 20;
    let links: String = (0..COUNT).map(|n| format!("<a href='page{n}.html'>{n}</a>")).collect();
    write("index.html", &links);
    for n in 0..COUNT {
        write(&format!("page{n}.html"), &format!("<a href='/index.html'>back</a>{}", "x".repeat(n * 3000)));
    }
    let mut openssl = Command::new("openssl");
    openssl.args(["s_server", "-WWW", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key"]);
    let mut server = match openssl.current_dir(&folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn() {
        Ok(child) => Killed(child),
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            return eprintln!("skipped: openssl cannot be started: {error}");
        }
        Err(error) => panic!("openssl cannot be started: {error}"),
    };
    let mut said = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let port = loop {
        let line = said.next().unwrap().unwrap();
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            break address.rsplit_once(':').unwrap().1.to_owned();
        }
    };
    // Or it would be stopped by a full pipe.
    std::thread::spawn(move || said.for_each(drop));
    let start = format!("https://localhost:{port}/index.html");
    let json = folder.join("report.json");
    let program = built::example("crawler");
    let run = |more: &[&std::ffi::OsStr]| {
        // It serves one after the other.
        let output = Command::new(&program)
            .args([&start, "--concurrency", "4", "--timeout", "20", "--json"])
            .arg(&json)
            .args(more)
            .output();
        assert!(output.as_ref().unwrap().status.success(), "{output:?}");
        serde_json::from_slice::<Report>(&std::fs::read(&json).unwrap()).unwrap()
    };
    let report = run(&["--roots".as_ref(), folder.join("roots.pem").as_ref()]);
    assert!(report.totals.errors.is_empty(), "{:?}", report.totals.errors);
    assert_eq!(report.pages.len(), COUNT + 1);
    for page in &report.pages {
        let name = page.url.rsplit('/').next().unwrap();
        assert_eq!(page.bytes as u64, std::fs::metadata(folder.join(name)).unwrap().len(), "{}", page.url);
    }
    // Whom the platform does not know is not trusted.
    let report = run(&[]);
    assert_eq!(report.totals.errors.keys().collect::<Vec<_>>(), ["not trusted"]);
    std::fs::remove_dir_all(&folder).unwrap();
}
