//! The conformance suites: what any implementation of [`Selector`] or [`Reactor`] must do.
//!
//! Each check is a program that a wrong implementation fails: it panics with the name of the check and what was expected.
//! They take no third-party executor and no network but loopback.
//!
//! # Examples
//!
//! ```
//! use asyncio_reactor::{PollingSelector, SelectorReactor, conformance};
//!
//! conformance::selector(PollingSelector::new);
//! conformance::reactor(|| SelectorReactor::new(PollingSelector::new()?));
//! ```
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "checks fail by panicking")]

#[cfg(unix)]
mod bulk;
mod selector;
mod streams;
mod tries;
#[cfg(unix)]
mod unix;
mod waiting;
mod world;

use std::io;

use crate::reactor::Reactor;
use crate::selector::Selector;
use world::World;

/// Runs every check of the laws of [`Selector`] on fresh selectors that `make` makes.
pub fn selector<S: Selector>(make: impl Fn() -> io::Result<S>) {
    for (name, check) in selector::CHECKS {
        announced(name, || check(&make().expect("the selector can be made")));
    }
}

/// Runs every check of the laws of [`Reactor`], of its sockets and of its readiness, on fresh reactors that `make` makes.
///
/// What needs sockets of the operating system is left out where [`Reactor::adopt`] says `Unsupported`.
pub fn reactor<R: Reactor>(make: impl Fn() -> io::Result<R>) {
    #[cfg(unix)]
    let checks = [waiting::CHECKS, streams::CHECKS, tries::CHECKS, unix::CHECKS, bulk::CHECKS].concat();
    #[cfg(not(unix))]
    let checks = [waiting::CHECKS, streams::CHECKS, tries::CHECKS].concat();
    for (name, check) in checks {
        announced(name, || check(&World::new(make().expect("the reactor can be made"))));
    }
}

/// Runs a check, and names it if it panics.
fn announced(name: &str, check: impl FnOnce()) {
    struct Name<'a>(&'a str);
    impl Drop for Name<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                asyncio_base::report::report("conformance", format_args!("the check {:?} failed", self.0));
            }
        }
    }
    let _name = Name(name);
    check();
}
