//! Signals: a stream of them, a callback, and the orderly end of a server that is asked to end.
//!
//! `cargo run --release --example signals` sends them to itself; with `--wait` it waits for yours: `kill -HUP`, `kill -USR1`, and Ctrl-C to end.

#[cfg(unix)]
mod unix {
    use std::cell::Cell;
    use std::io;
    use std::rc::Rc;
    use std::time::Duration;

    use asyncio::signal::unix::{SignalKind, signal};
    use asyncio::{EventLoop, race, sleep, spawn_local};
    use rustix::process::{Signal, getpid, kill_process};

    /// Sends each of them, as an administrator would.
    async fn demo() -> io::Result<()> {
        for kind in [Signal::HUP, Signal::HUP, Signal::USR1, Signal::TERM] {
            sleep(Duration::from_millis(10)).await;
            kill_process(getpid(), kind)?;
        }
        Ok(())
    }

    pub async fn main(waits: bool) -> io::Result<()> {
        println!("this is process {}", getpid());

        // A callback, which is called by the loop and may do whatever a callback may.
        let calls = Rc::new(Cell::new(0));
        let handler = EventLoop::current().map_err(io::Error::other)?.add_signal_handler(
            SignalKind::user_defined1(),
            {
                let calls = calls.clone();
                move || calls.set(calls.get() + 1)
            },
        )?;

        // A stream: a configuration that is read again whenever somebody asks. Several that come at once are one.
        let reloads = Rc::new(Cell::new(0));
        let reloading = spawn_local({
            let reloads = reloads.clone();
            let mut hangups = signal(SignalKind::hangup())?;
            async move {
                while hangups.recv().await.is_some() {
                    reloads.set(reloads.get() + 1);
                    println!("the configuration is read again");
                }
            }
        });

        // Whichever comes first ends the program.
        let mut terminate = signal(SignalKind::terminate())?;
        let terminated = async {
            terminate.recv().await;
            Ok(())
        };
        if !waits {
            spawn_local(demo());
        }
        let asked: io::Result<()> = race!(terminated, asyncio::signal::ctrl_c());
        asked?;
        reloading.cancel();
        handler.cancel();
        println!("read {} times, called {} times; the end", reloads.get(), calls.get());
        assert!(waits || (reloads.get() >= 1 && calls.get() == 1));
        Ok(())
    }
}

#[cfg(unix)]
#[asyncio::main]
async fn main() -> std::io::Result<()> {
    unix::main(std::env::args().any(|argument| argument == "--wait")).await
}

#[cfg(not(unix))]
fn main() {}
