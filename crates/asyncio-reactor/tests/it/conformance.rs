//! Both selectors pass the conformance suites.

#[cfg(target_os = "linux")]
use asyncio_reactor::EpollSelector;
use asyncio_reactor::{PollingSelector, SelectorReactor, conformance};

#[cfg(target_os = "linux")]
#[test]
fn epoll_selector() {
    conformance::selector(EpollSelector::new);
}

#[cfg(target_os = "linux")]
#[test]
fn epoll_reactor() {
    conformance::reactor(|| SelectorReactor::new(EpollSelector::new()?));
}

#[test]
fn polling_selector() {
    conformance::selector(PollingSelector::new);
}

#[test]
fn polling_reactor() {
    conformance::reactor(|| SelectorReactor::new(PollingSelector::new()?));
}
