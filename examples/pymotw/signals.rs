//! "Receiving Unix Signals": callbacks of signals.

use std::rc::Rc;

use asyncio::signal::unix::SignalKind;
use asyncio::sync::Queue;
use asyncio::{CallHandle, EventLoop};
use rustix::process::{Signal, getpid, kill_process};

use crate::Outcome;

/// Sends signals to itself, and sees that each is handled once it lets the loop have its turn, and not before.
///
/// A handler is a callback of the loop, and may do whatever a callback may. Several handlers of one signal do not take each other's place; a signal does
/// what it does by default again when its last one is cancelled. The original sleeps after each signal; this waits for its handler.
pub fn asyncio_signal() -> Outcome {
    asyncio::run(async {
        let event_loop = EventLoop::current()?;
        let handled = Rc::new(Queue::unbounded());
        let mut handlers = Vec::new();
        let kinds = [
            ("SIGHUP", SignalKind::hangup()),
            ("SIGUSR1", SignalKind::user_defined1()),
            ("SIGINT", SignalKind::interrupt()),
        ];
        for (name, kind) in kinds {
            let handled = handled.clone();
            handlers.push(event_loop.add_signal_handler(kind, move || {
                println!("handler: {name}");
                // It has no bound, and nobody shuts it down.
                let _ = handled.try_put(name);
            })?);
        }
        let signals = [
            ("SIGHUP", Signal::HUP),
            ("SIGHUP", Signal::HUP),
            ("SIGUSR1", Signal::USR1),
            ("SIGINT", Signal::INT),
        ];
        for (name, signal) in signals {
            println!("main: sends {name}");
            kill_process(getpid(), signal)?;
            println!("main: waits");
            println!("main: {} was handled", handled.get().await?);
        }
        handlers.iter().for_each(CallHandle::cancel);
        Ok(())
    })
}
