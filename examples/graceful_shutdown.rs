//! A server that ends in good order: on SIGTERM it stops accepting, answers whole whatever it has read, and closes the rest within a bound.
//!
//! `cargo run --release --example graceful_shutdown`, and then `kill -TERM` it; with `--demo` it sends itself requests and the signal. A request is
//! a number in a line, the answer that number and a kilobyte in a line.

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    asyncio::run(server::main(std::env::args().any(|argument| argument == "--demo")))
}

#[cfg(unix)]
mod server {
    use std::cell::Cell;
    use std::io;
    use std::rc::Rc;
    use std::time::Duration;

    use asyncio::net::{TcpListener, TcpStream};
    use asyncio::signal::unix::{SignalKind, signal};
    use asyncio::{OnError, TaskGroup, race, shield, sleep, timeout};
    use futures_lite::io::BufReader;
    use futures_lite::{AsyncBufReadExt, AsyncWriteExt};

    /// How long an answer may take, and with it the end of the server.
    const BOUND: Duration = Duration::from_secs(5);

    #[derive(Clone, Default)]
    struct Counts {
        read: Rc<Cell<u64>>,
        answered: Rc<Cell<u64>>,
    }

    pub async fn main(is_demo: bool) -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        println!("listening on {addr}");
        let mut terminate = signal(SignalKind::terminate())?;
        let counts = Counts::default();
        // A connection that fails is no matter to the others.
        let connections = TaskGroup::<io::Error>::builder().on_error(OnError::KeepGoing);
        let out = connections
            .run(async |group| {
                if is_demo {
                    group.spawn_local(demo(addr));
                }
                let accept = async {
                    loop {
                        let (stream, _) = listener.accept().await?;
                        group.spawn_local(serve(stream, group.clone(), counts.clone()));
                    }
                };
                let asked = async {
                    terminate.recv().await;
                    Ok(())
                };
                let out: io::Result<()> = race!(accept, asked);
                // Nobody is accepted any more. Connections that wait for a request end; those that have one answer it first.
                drop(listener);
                group.cancel_because("the server ends");
                out
            })
            .await;
        let failed = out.map_or_else(|error| error.into_errors().len(), |()| 0);
        println!("read {} answered {} failed {failed}", counts.read.get(), counts.answered.get());
        Ok(())
    }

    async fn serve(stream: TcpStream, group: TaskGroup<io::Error>, counts: Counts) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while !group.is_cancelled() {
            line.clear();
            // Here a cancellation ends it: nothing was promised to the client yet.
            if stream.read_line(&mut line).await? == 0 || !line.ends_with('\n') {
                break;
            }
            counts.read.set(counts.read.get() + 1);
            // Here none does.
            let answer = async {
                sleep(Duration::from_millis(2)).await; // It works for the answer.
                stream
                    .get_mut()
                    .write_all(format!("{} {}\n", line.trim_end(), "x".repeat(1000)).as_bytes())
                    .await
            };
            shield(timeout(BOUND, answer)).await??;
            counts.answered.set(counts.answered.get() + 1);
        }
        stream.get_mut().close().await
    }

    /// A client that has the server end.
    async fn demo(addr: std::net::SocketAddr) -> io::Result<()> {
        let mut stream = BufReader::new(TcpStream::connect(addr).await?);
        for n in 0..10 {
            let mut answer = String::new();
            stream.get_mut().write_all(format!("{n}\n").as_bytes()).await?;
            stream.read_line(&mut answer).await?;
            assert!(answer.starts_with(&n.to_string()) && answer.ends_with("x\n"));
        }
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)?;
        Ok(())
    }
}
