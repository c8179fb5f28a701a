//! OS events → wakers: sockets and readiness, for any executor.
//!
//! Two seams stand here. A [`Reactor`] decides what a socket *is* ([`Socket`]: the non-blocking BSD socket as an
//! object-safe trait) and how long to wait for events. A [`Selector`] decides how readiness is learnt: [`EpollSelector`]
//! on Linux, [`PollingSelector`] everywhere, or one of your own. [`SelectorReactor`] turns any selector into a reactor.
//!
//! Inside a loop of asyncio the loop turns its reactor. Anywhere else the same sockets work: the first operation that has
//! to wait starts one background thread, "asyncio-reactor". There is no "no reactor running" panic.
//!
//! When to use it: you write a library over sockets that should not choose its users' runtime, or a loop of your own.
//! When not: in an application; there `asyncio::net` has streams with the usual traits.
//!
//! # Examples
//!
//! ```
//! use asyncio_reactor::{Domain, Type, socket};
//! use std::net::SocketAddr;
//!
//! # fn main() -> std::io::Result<()> {
//! futures::executor::block_on(async {
//!     let listener = socket(Domain::IPV4, Type::STREAM, None)?;
//!     listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())?;
//!     listener.listen(1)?;
//!
//!     let client = socket(Domain::IPV4, Type::STREAM, None)?;
//!     client.connect(&listener.local_addr()?).await?;
//!     let (server, _from) = listener.accept().await?;
//!
//!     assert_eq!(client.send(b"ping").await?, 4);
//!     let mut buf = [0; 8];
//!     assert_eq!(server.recv(&mut buf).await?, 4);
//!     assert_eq!(&buf[..4], b"ping");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Features
//!
//! - `conformance`: the conformance suites, which any implementation of `Selector` or `Reactor` can run.

#![deny(unsafe_code)]

mod credentials;
mod reactor;
mod selector;
mod socket;

mod readiness;
mod state;
mod waiter;
mod watched;

mod driver;
mod os_socket;
mod registry;
mod selector_reactor;
mod signals;
mod sys;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(all(test, loom))]
mod loom_tests;

#[doc(no_inline)]
pub use socket2::{Domain, Protocol, SockAddr, Type};

pub use credentials::UCred;
pub use driver::reactor as fallback;
pub use os_socket::OsSocket;
pub use reactor::{EnterGuard, Reactor, adopt, current, enter, entered, socket, socket_pair};
pub use readiness::{AnyRegistrar, Direction, Readiness, Ready, Registrar, Seen};
pub use selector::{Event, Interest, Mode, Selector};
pub use selector_reactor::SelectorReactor;
pub use signals::{SecondTime, SignalSource};
pub use socket::{Ancillary, OptionName, Received, RecvMsg, SendMsg, Socket, SocketOption};
pub use state::IoState;
#[cfg(target_os = "linux")]
pub use sys::EpollSelector;
pub use sys::{AsDescriptor, BorrowedDescriptor, DefaultSelector, OwnedDescriptor, PollingSelector};
pub use waiter::Waiter;
pub use watched::Watched;
