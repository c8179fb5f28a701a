//! Ctrl-C: the first one stops the crawl, the second one the program.

use std::pin::Pin;

/// Runs `stop` at the first Ctrl-C; the second ends the process.
pub fn on_interrupt(stop: impl FnOnce() + 'static) {
    asyncio::spawn_local(async move {
        let mut ctrl_c = asyncio::signal::ctrl_c();
        match Pin::new(&mut ctrl_c).await {
            Ok(()) => stop(),
            Err(error) => return eprintln!("Ctrl-C cannot be listened to: {error}"),
        }
        if ctrl_c.await.is_ok() {
            std::process::exit(130);
        }
    });
}
