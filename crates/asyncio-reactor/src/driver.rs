//! The fallback: one background thread that turns a reactor where no loop is entered.
//!
//! It is started by the first socket that has to wait outside of a loop, is named "asyncio-reactor", and never ends; a process that
//! ends does not wait for it. Programs on a loop of ours never start it.

use std::io;
use std::sync::OnceLock;

use asyncio_base::shim::{Arc, Mutex, thread};
use asyncio_base::{panic, report};

use crate::reactor::Reactor;
use crate::selector_reactor::SelectorReactor;
use crate::sys::DefaultSelector;

static REACTOR: OnceLock<Arc<dyn Reactor>> = OnceLock::new();
#[cfg(not(loom))]
static STARTING: Mutex<()> = Mutex::new(());

/// Returns the reactor of the process, which a thread turns, for what must not end with a loop. [`current`](crate::current) gives it where no loop is entered.
///
/// # Errors
///
/// Fails where it cannot be started: no descriptor or no thread is to be had. The next call tries again.
#[cfg(not(loom))]
pub fn reactor() -> io::Result<Arc<dyn Reactor>> {
    if let Some(reactor) = REACTOR.get() {
        return Ok(reactor.clone());
    }
    let _starting = STARTING.lock();
    if let Some(reactor) = REACTOR.get() {
        return Ok(reactor.clone());
    }
    let reactor: Arc<dyn Reactor> = Arc::new(SelectorReactor::new(DefaultSelector::new()?)?);
    let turned = reactor.clone();
    thread::Builder::new().name("asyncio-reactor".into()).spawn(move || drive(&*turned))?;
    Ok(REACTOR.get_or_init(|| reactor).clone())
}

/// There is none in a model.
///
/// # Errors
///
/// Fails.
#[cfg(loom)]
pub fn reactor() -> io::Result<Arc<dyn Reactor>> {
    Err(io::ErrorKind::Unsupported.into())
}

fn drive(reactor: &dyn Reactor) {
    loop {
        let mut first_panic = None;
        match panic::catch_and_store(&mut first_panic, || reactor.turn(None)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                report::report("reactor", format_args!("the fallback reactor cannot wait any more: {error}"));
                return reactor.close();
            }
            None => {
                let message = first_panic.as_ref().map_or("", |payload| panic::message(&**payload));
                report::report("reactor", format_args!("a waker panicked: {message}"));
            }
        }
    }
}
