//! Servers at Unix sockets, and the files that they leave and do not leave.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
#[cfg(target_os = "linux")]
use std::{collections::BTreeSet, os::unix::fs::PermissionsExt, sync::atomic::AtomicBool};

#[cfg(target_os = "linux")]
use asyncio_net::{ServerOptions, UnixDatagram, UnixListener};
use asyncio_net::{StreamReader, StreamWriter, open_unix_connection, start_unix_server};
use asyncio_tasks::yield_now;

use crate::worlds::{on_a_simulated_host, on_each_real_loop};

/// A directory of its own for each test, gone afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("asyncio-server-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    let all = reader.read_to_end().await?;
    writer.write(&all);
    writer.close().await
}

async fn asks(path: &PathBuf) {
    let (mut reader, mut writer) = open_unix_connection(path).await.unwrap();
    writer.write(b"question");
    writer.write_eof();
    assert_eq!(reader.read_to_end().await.unwrap(), b"question");
    assert!(writer.peer_addr().is_err(), "it has no IP address");
}

#[test]
fn the_file_comes_and_goes_with_the_server() {
    on_each_real_loop(async || {
        let directory = Directory::new();
        let path = directory.socket();
        let server = start_unix_server(echo, &path).await.unwrap();
        assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
        assert!(server.local_addrs().is_empty());
        asks(&path).await;
        server.close();
        server.wait_closed().await;
        assert!(!path.exists());
    });
}

#[test]
fn on_a_simulated_host_there_is_no_file() {
    on_a_simulated_host(async || {
        let directory = Directory::new();
        let path = directory.socket();
        // The machine's own, which is no concern of a simulated host.
        std::fs::write(&path, "a file of that name").unwrap();
        let server = start_unix_server(echo, &path).await.unwrap();
        asks(&path).await;
        let error = start_unix_server(echo, &path).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        server.close();
        server.wait_closed().await;
        assert_eq!(std::fs::read(&path).unwrap(), b"a file of that name");
        let again = start_unix_server(echo, &path).await.unwrap();
        asks(&path).await;
        again.close();
        again.wait_closed().await;
    });
}

#[test]
fn a_dead_servers_file_is_replaced_and_a_live_ones_is_not() {
    on_each_real_loop(async || {
        let directory = Directory::new();
        let path = directory.socket();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as one leaves it that was killed");
        let server = start_unix_server(echo, &path).await.unwrap();
        let error = start_unix_server(echo, &path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        asks(&path).await;
        drop(server);
    });
}

#[test]
fn what_is_no_socket_stays() {
    on_each_real_loop(async || {
        let directory = Directory::new();
        let path = directory.socket();
        std::fs::write(&path, "precious").unwrap();
        let error = start_unix_server(echo, &path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    });
}

#[test]
fn a_file_that_has_taken_the_place_of_ours_stays() {
    on_each_real_loop(async || {
        let directory = Directory::new();
        let path = directory.socket();
        let server = start_unix_server(echo, &path).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let other = start_unix_server(echo, &path).await.unwrap();
        server.close();
        server.wait_closed().await;
        asks(&path).await;
        drop(other);
    });
}

#[test]
fn the_queue_is_served_at_the_end() {
    on_each_real_loop(async || {
        let directory = Directory::new();
        let path = directory.socket();
        let server = start_unix_server(echo, &path).await.unwrap();
        let waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
        server.close();
        while path.exists() {
            yield_now().await;
        }
        let (mut reader, mut writer) = asyncio_net::UnixStream::from_std(waits).unwrap().into_streams();
        writer.write(b"in time");
        writer.write_eof();
        assert_eq!(reader.read_to_end().await.unwrap(), b"in time");
        server.wait_closed().await;
    });
}

#[test]
fn paths_that_cannot_be_say_why() {
    on_each_real_loop(async || {
        for path in ["", "/no/such/directory/socket"] {
            let error = start_unix_server(echo, path).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound), "{error:?}");
        }
        assert!(open_unix_connection("/no/such/socket").await.is_err());
    });
}

/// Says so when it is dropped.
#[cfg(target_os = "linux")]
struct Over<'a>(&'a AtomicBool);

#[cfg(target_os = "linux")]
impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Everything that the mode of a file is seen to be, until told to stop.
#[cfg(target_os = "linux")]
fn modes_seen(path: PathBuf, is_over: &AtomicBool) -> BTreeSet<u32> {
    let mut seen = BTreeSet::new();
    while !is_over.load(Ordering::Relaxed) {
        if let Ok(metadata) = std::fs::symlink_metadata(&path) {
            seen.insert(metadata.permissions().mode() & 0o777);
        }
    }
    seen
}

#[cfg(target_os = "linux")]
#[test]
fn a_mode_is_there_from_the_birth_of_the_file() {
    for mode in [0o600, 0o660, 0o666] {
        let directory = Directory::new();
        let path = directory.socket();
        let is_over = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let watching = scope.spawn(|| modes_seen(path.clone(), &is_over));
            // Also where a check fails.
            let over = Over(&is_over);
            asyncio_runtime::run(async {
                for _ in 0..300 {
                    let server =
                        ServerOptions::new().mode(mode).start_unix_server(echo, &path).await.unwrap();
                    let has = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                    assert_eq!(has, mode, "whatever the umask is");
                    server.close();
                    server.wait_closed().await;
                    drop(UnixListener::bind_with_mode(&path, mode).unwrap());
                    std::fs::remove_file(&path).unwrap();
                    drop(UnixDatagram::bind_with_mode(&path, mode).unwrap());
                    std::fs::remove_file(&path).unwrap();
                }
            });
            drop(over);
            watching.join().unwrap()
        });
        assert!(seen.contains(&mode), "the watcher saw nothing");
        assert!(seen.iter().all(|seen| seen & !mode == 0), "wider than {mode}: {seen:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_mode_that_is_none_says_so_and_leaves_no_file() {
    on_each_real_loop(async || {
        let directory = Directory::new();
        let path = directory.socket();
        let error = ServerOptions::new().mode(0o4755).start_unix_server(echo, &path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("4755"), "{error}");
        assert!(!path.exists());
        let server = ServerOptions::new().mode(0o600).start_unix_server(echo, &path).await.unwrap();
        asks(&path).await;
        drop(server);
    });
}
