//! TLS with programs of somebody else's at the other end: OpenSSL's `s_client` and `s_server`, Python's `ssl`, `curl`.
//!
//! A peer that is not installed makes its test say so and pass; with `ASYNCIO_REQUIRE_PEERS=1` it fails.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![cfg(all(unix, feature = "tls"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use asyncio_net::tls::{TlsAcceptor, TlsConnector, TlsInfo};
use asyncio_net::{ConnectOptions, Server, ServerOptions, StreamReader, StreamWriter};
use asyncio_runtime::run;
use asyncio_sync::oneshot::oneshot;
use asyncio_tasks::spawn_local;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Certificates as files, removed when dropped.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("asyncio-tls-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "an authority for tests");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = Self { folder };
        files.write("roots.pem", &authority.pem());
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params =
                CertificateParams::new(vec![format!("{name}.test"), "127.0.0.1".to_owned()]).unwrap();
            files.write(&format!("{name}.pem"), &params.signed_by(&key, &authority).unwrap().pem());
            files.write(&format!("{name}.key"), &key.serialize_pem());
        }
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Starts a peer; `None` where it is not installed, and need not be.
fn peer(test: &str, command: &mut Command) -> Option<Child> {
    match command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => Some(child),
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            eprintln!("{test}: skipped, {:?} cannot be started: {error}", command.get_program());
            None
        }
        Err(error) => panic!("{test}: {:?} cannot be started: {error}", command.get_program()),
    }
}

/// Gives a peer its input, and waits for its end, without holding the loop up; gives what it has printed.
async fn talk(mut child: Child, input: Vec<u8>) -> (String, bool) {
    let (done, waits) = oneshot();
    let mut stdin = child.stdin.take().unwrap();
    thread::spawn(move || {
        // One that has ended does not take it.
        let _ = stdin.write_all(&input);
        drop(stdin);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        child.stderr.take().unwrap().read_to_end(&mut err).unwrap();
        let succeeded = child.wait().unwrap().success();
        let text = String::from_utf8_lossy(&out).into_owned() + &String::from_utf8_lossy(&err);
        let _ = done.send((text, succeeded));
    });
    waits.await.unwrap()
}

/// Sends lines back until there is one that says enough.
async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> Result<(), Box<dyn std::error::Error>> {
    while let Some(line) = reader.read_line().await? {
        writer.write(&line);
        writer.drain().await?;
        if line == b"enough\n" {
            break;
        }
    }
    Ok(writer.close().await?)
}

async fn echo_server(acceptor: TlsAcceptor) -> (Server, u16) {
    let server = ServerOptions::new().tls(acceptor).start_server(echo, "127.0.0.1:0").await.unwrap();
    let port = server.local_addrs()[0].port();
    (server, port)
}

fn acceptor(files: &Files) -> TlsAcceptor {
    TlsAcceptor::new(files.read("server.pem"), files.read("server.key")).unwrap()
}

fn s_client(files: &Files, port: u16, more: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", "server.test"]);
    command.arg("-CAfile").arg(files.path("roots.pem"));
    command.args(["-verify_return_error", "-verify_hostname", "server.test", "-quiet"]).args(more);
    command
}

#[test]
fn openssl_as_the_client() {
    run(async {
        let files = Files::new("s_client");
        let (_server, port) = echo_server(acceptor(&files)).await;
        for version in ["-tls1_2", "-tls1_3"] {
            let Some(child) = peer("s_client", &mut s_client(&files, port, &[version])) else { return };
            let lines: String = (0..2000).map(|n| format!("line {n}\n")).collect();
            let (said, _) = talk(child, format!("{lines}enough\n").into_bytes()).await;
            assert!(said.contains(&lines), "{version}: {said}");
        }
        let Some(child) = peer("s_client", &mut s_client(&files, port, &["-tls1_1"])) else { return };
        assert!(!talk(child, b"enough\n".to_vec()).await.1, "that is too old");
    });
}

#[test]
fn openssl_as_the_client_shows_who_it_is() {
    run(async {
        let files = Files::new("s_client_identity");
        let acceptor = TlsAcceptor::builder(files.read("server.pem"), files.read("server.key"))
            .client_roots(files.read("roots.pem"))
            .build()
            .unwrap();
        let (_server, port) = echo_server(acceptor).await;
        let mut command = s_client(&files, port, &["-tls1_3"]);
        command.arg("-cert").arg(files.path("client.pem")).arg("-key").arg(files.path("client.key"));
        let Some(child) = peer("s_client", &mut command) else { return };
        let (said, _) = talk(child, b"it is me\nenough\n".to_vec()).await;
        assert!(said.contains("it is me\nenough\n"), "{said}");
        let Some(child) = peer("s_client", &mut s_client(&files, port, &["-tls1_3"])) else { return };
        let (said, _) = talk(child, b"it is nobody\nenough\n".to_vec()).await;
        assert!(!said.contains("it is nobody\n") && said.contains("alert"), "{said}");
    });
}

/// Has somebody type lines, and wait after each until something is said, without holding the loop up; fails with all that was said if it does not come.
async fn typed(mut child: Child, lines: Vec<(String, String)>) {
    let (done, waits) = oneshot();
    thread::spawn(move || {
        let typed = types(&mut child, &lines);
        child.kill().unwrap();
        child.wait().unwrap();
        let _ = done.send(typed);
    });
    waits.await.unwrap().unwrap();
}

fn types(child: &mut Child, lines: &[(String, String)]) -> Result<(), String> {
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut said, mut buf) = (String::new(), [0; 4096]);
    for (line, expected) in lines {
        stdin.write_all(line.as_bytes()).map_err(|error| format!("{error} after {said}"))?;
        let from = said.len();
        while !said[from..].contains(expected.as_str()) {
            match stdout.read(&mut buf).unwrap() {
                0 => return Err(said),
                n => said.push_str(&String::from_utf8_lossy(&buf[..n])),
            }
        }
    }
    Ok(())
}

/// OpenSSL's client, which obeys letters; what it says of that goes to its output too.
fn obeying(files: &Files, port: u16, version: &str) -> Command {
    let roots = files.path("roots.pem");
    let options = format!("-connect 127.0.0.1:{port} -servername server.test {version}");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec openssl s_client {options} -CAfile {} 2>&1", roots.display())]);
    command
}

/// TL-F8: new keys in the midst of it, asked for by the peer.
#[test]
fn openssl_asks_for_new_keys() {
    run(async {
        let files = Files::new("key_update");
        let (_server, port) = echo_server(acceptor(&files)).await;
        let Some(child) = peer("s_client", &mut obeying(&files, port, "-tls1_3")) else { return };
        let lines = (0..50).flat_map(|n| {
            let line = format!("line {n}\n");
            [("K\n".to_owned(), "KEYUPDATE".to_owned()), (line.clone(), line)]
        });
        let lines: Vec<_> = [("first\n".into(), "\nfirst\n".into())].into_iter().chain(lines).collect();
        typed(child, lines).await;
    });
}

/// TL-F8: TLS 1.2 could begin anew in the midst of it, which has been a way in (CVE-2009-3555): it is refused, and the others go on.
#[test]
fn openssl_wants_to_begin_anew() {
    run(async {
        let files = Files::new("renegotiation");
        let (_server, port) = echo_server(acceptor(&files)).await;
        let Some(child) = peer("s_client", &mut obeying(&files, port, "-tls1_2")) else { return };
        let lines = [("first\n", "\nfirst\n"), ("R\n", "no renegotiation")];
        let lines = lines.map(|(line, expected)| (line.to_owned(), expected.to_owned()));
        typed(child, lines.into()).await;
        let Some(child) = peer("s_client", &mut s_client(&files, port, &["-tls1_2"])) else { return };
        assert!(talk(child, b"another\nenough\n".to_vec()).await.0.contains("another\n"));
    });
}

/// Starts OpenSSL's server, which sends lines back in reverse; gives its port.
fn s_server(files: &Files, more: &[&str]) -> Option<(Child, u16)> {
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", "127.0.0.1:0", "-rev"]).args(more);
    command.arg("-cert").arg(files.path("server.pem")).arg("-key").arg(files.path("server.key"));
    let mut child = peer("s_server", &mut command)?;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            break address.rsplit_once(':').unwrap().1.parse().unwrap();
        }
    };
    // Or it would be stopped by a full pipe.
    thread::spawn(move || lines.for_each(drop));
    Some((child, port))
}

#[test]
fn openssl_as_the_server() {
    run(async {
        let files = Files::new("s_server");
        let connector = TlsConnector::builder().roots(files.read("roots.pem")).build().unwrap();
        for version in ["-tls1_2", "-tls1_3"] {
            let Some((mut child, port)) = s_server(&files, &[version]) else { return };
            let options = ConnectOptions::new().tls(connector.clone(), "server.test");
            for round in 0..3 {
                let (mut reader, mut writer) = options.open_connection(("127.0.0.1", port)).await.unwrap();
                for n in 0..200 {
                    writer.write(format!("{n} times\n").as_bytes());
                    let expected = format!("{n} times").chars().rev().collect::<String>() + "\n";
                    assert_eq!(reader.read_line().await.unwrap().unwrap(), expected.as_bytes());
                }
                let info = TlsInfo::of(&**reader.socket()).unwrap();
                assert!(round == 0 || info.is_resumed, "{info:?}");
                // It says goodbye when it is told to, which `-rev` knows as the end of its input.
                writer.write_eof();
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
    });
}

/// Python's asyncio at the other end: a client, then a server.
const PYTHON_CLIENT: &str = r#"
import asyncio, ssl, sys

async def main():
    port, roots = int(sys.argv[1]), sys.argv[2]
    context = ssl.create_default_context(cafile=roots)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="server.test")
    for n in range(500):
        line = b"line %d\n" % n
        writer.write(line)
        assert await reader.readuntil(b"\n") == line
    writer.write(b"enough\n")
    assert await reader.read() == b"enough\n"
    writer.close()
    await writer.wait_closed()
    print("all came back")

asyncio.run(main())
"#;

const PYTHON_SERVER: &str = r#"
import asyncio, ssl, sys

async def handle(reader, writer):
    data = await reader.readexactly(1_000_000)
    writer.write(data[::-1])
    await writer.drain()
    writer.close()
    await writer.wait_closed()

async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"#;

fn python(script: &str, arguments: &[&Path]) -> Option<Child> {
    peer("python", Command::new("python3").args(["-c", script]).args(arguments))
}

#[test]
fn pythons_asyncio_as_the_client() {
    run(async {
        let files = Files::new("python_client");
        let (_server, port) = echo_server(acceptor(&files)).await;
        let port = port.to_string();
        let Some(child) = python(PYTHON_CLIENT, &[Path::new(&port), &files.path("roots.pem")]) else {
            return;
        };
        let (said, succeeded) = talk(child, Vec::new()).await;
        assert!(succeeded && said.contains("all came back"), "{said}");
    });
}

#[test]
fn pythons_asyncio_as_the_server() {
    run(async {
        let files = Files::new("python_server");
        let Some(mut child) = python(PYTHON_SERVER, &[&files.path("server.pem"), &files.path("server.key")])
        else {
            return;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().unwrap();
        let connector = TlsConnector::builder().roots(files.read("roots.pem")).build().unwrap();
        let options = ConnectOptions::new().tls(connector, "server.test");
        let (mut reader, mut writer) = options.open_connection(("127.0.0.1", port)).await.unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let sent = bytes.clone();
        let sending = spawn_local(async move {
            writer.write_all(&sent).await.unwrap();
            writer
        });
        let back = reader.read_to_end().await.unwrap();
        assert!(back.into_iter().rev().eq(bytes), "and a clean end");
        sending.await.unwrap().close().await.unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn curl_as_the_client() {
    run(async {
        let files = Files::new("curl");
        let acceptor = acceptor(&files);
        let answer = async |mut reader: StreamReader, mut writer: StreamWriter| {
            while reader.read_line().await.unwrap().unwrap() != b"\r\n" {}
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n");
            writer.write_all(&[b'x'; 1_000_000]).await.unwrap();
            writer.close().await
        };
        let server = ServerOptions::new().tls(acceptor).start_server(answer, "127.0.0.1:0").await.unwrap();
        let port = server.local_addrs()[0].port();
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--cacert"]).arg(files.path("roots.pem"));
        command.args(["--resolve", &format!("server.test:{port}:127.0.0.1")]);
        command.arg(format!("https://server.test:{port}/"));
        let Some(child) = peer("curl", &mut command) else { return };
        let (said, succeeded) = talk(child, Vec::new()).await;
        assert!(succeeded && said.len() == 1_000_000, "{} bytes", said.len());
    });
}
