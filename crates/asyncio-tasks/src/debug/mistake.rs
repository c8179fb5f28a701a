//! [`report_mistake`]: what is legal, and nearly always a mistake.

use std::fmt;

use asyncio_base::debug;
use asyncio_base::report::Report;
use asyncio_executor::{Header, current_header};

use crate::scope;

/// Reports, where this thread is in debug mode, what is legal and nearly always a mistake, such as a connection that is dropped without being closed;
/// with the task that is being polled, if one is. Elsewhere nothing happens. For layers, and for libraries on top of them.
///
/// While a panic unwinds, and in a task or a scope that was cancelled, nothing is reported either: then things are dropped as they are. What a `race!` or a
/// `timeout` drops is reported.
///
/// # Examples
///
/// ```
/// use asyncio_base::{debug, report};
/// use asyncio_tasks::debug::report_mistake;
/// use std::{cell::RefCell, rc::Rc};
///
/// let seen = Rc::new(RefCell::new(Vec::new()));
/// let sink = seen.clone();
/// report::with_handler(Rc::new(move |r| sink.borrow_mut().push(r.to_string())), || {
///     report_mistake("pool", format_args!("nobody hears of this"));
///     let _debug = debug::enter(true);
///     report_mistake("pool", format_args!("a connection was not given back"));
/// });
/// assert_eq!(*seen.borrow(), ["asyncio pool: a connection was not given back"]);
/// ```
pub fn report_mistake(layer: &'static str, what: fmt::Arguments<'_>) {
    if !debug::is_on() || std::thread::panicking() {
        return;
    }
    let is_ending = |header: &Header| header.is_cancel_requested() || header.was_cancelled();
    if scope::is_cancelled() || current_header(is_ending) == Some(true) {
        return;
    }
    let task = current_header(|header| {
        let name = header.name().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        (header.id().get(), header.spawned_at(), name)
    });
    match task {
        Some((id, place, name)) => {
            let message = format_args!("{what} (in task {id}{name}, spawned at {place})");
            Report::new(layer, message).about(id, place).send();
        }
        None => Report::new(layer, what).send(),
    }
}
