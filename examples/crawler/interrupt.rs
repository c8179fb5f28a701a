//! Ctrl-C as a future, until the loop has signals of its own: a handler that writes a byte into a socket pair.
#![expect(unsafe_code, reason = "a signal handler may do little, and only its author can promise that")]

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use asyncio::net::TcpStream;
use futures_lite::AsyncReadExt;

static WAS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Runs `stop` at the first Ctrl-C; the second ends the process.
pub fn on_interrupt(stop: impl FnOnce() + 'static) -> io::Result<()> {
    let (reader, writer) = UnixStream::pair()?;
    writer.set_nonblocking(true)?;
    let mut reader = TcpStream::from_socket(asyncio::reactor::adopt(reader.into())?);
    let handler = move || {
        if WAS_INTERRUPTED.swap(true, Ordering::Relaxed) {
            // SAFETY: `_exit` is async-signal-safe (signal-safety(7)) and has no other condition.
            unsafe { libc::_exit(130) };
        }
        // A full pipe has told it already.
        let _ = rustix::io::write(&writer, b"!");
    };
    // SAFETY: the handler touches an atomic, and calls `write` and `_exit`, which are async-signal-safe; it neither allocates nor panics.
    unsafe { signal_hook_registry::register(libc::SIGINT, handler) }?;
    asyncio::spawn_local(async move {
        if reader.read(&mut [0; 1]).await.is_ok() {
            stop();
        }
    })
    .detach();
    Ok(())
}
