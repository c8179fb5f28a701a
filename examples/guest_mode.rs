//! Guest mode: the loop inside of a game's. The host draws 60 frames a second and has its own poll(2); ours runs in between.
//!
//! `cargo run --release --example guest_mode`

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use asyncio::net::{TcpListener, TcpStream};
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use std::os::fd::AsFd;

    let mut runner = asyncio::Runner::new()?;
    let messages = Rc::new(Cell::new(0));
    let counter = messages.clone();
    runner.run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        asyncio::spawn_local(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut buf = [0; 64];
            while stream.read(&mut buf).await? > 0 {
                counter.set(counter.get() + 1);
            }
            std::io::Result::Ok(())
        })
        .detach();
        let mut stream = TcpStream::connect(addr).await?;
        asyncio::spawn_local(async move {
            let mut ticks = asyncio::interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                stream.write_all(b"position").await?;
            }
            #[expect(unreachable_code, reason = "says what the task would return")]
            std::io::Result::Ok(())
        })
        .detach();
        std::io::Result::Ok(())
    })?;

    const FRAME: Duration = Duration::from_micros(16_667);
    let start = Instant::now();
    let mut frames = 0;
    let mut turns = 0;
    while frames < 30 {
        // The host draws, and then waits for the next frame, for our descriptor, or for our deadline, whichever is first.
        frames += 1;
        let next_frame = start + FRAME * frames;
        while Instant::now() < next_frame {
            runner.turn(Some(Duration::ZERO))?;
            turns += 1;
            let until = runner.next_deadline().map_or(next_frame, |deadline| deadline.min(next_frame));
            wait(runner.as_fd(), until.saturating_duration_since(Instant::now()))?;
        }
    }
    println!("{frames} frames, {turns} turns, {} messages", messages.get());
    assert!(messages.get() >= 30, "ten milliseconds apart, for half a second: {}", messages.get());
    assert!(turns < 1000, "the host spins: {turns} turns");
    Ok(())
}

/// The host's own wait.
#[cfg(unix)]
fn wait(fd: std::os::fd::BorrowedFd<'_>, timeout: Duration) -> std::io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let timeout = timeout.try_into().map_err(std::io::Error::other)?;
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn main() {
    println!("this host waits on descriptors, which only Unix has");
}
