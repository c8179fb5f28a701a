//! The whole world → a seed: a program of `asyncio`, unmodified, on simulated hosts, in virtual time, over a network with faults. The same seed gives the very same run.
//!
//! A [`Sim`] has hosts, each with a loop, a clock and addresses of its own, and links between them, which take their time, lose, reorder, and are cut. It
//! implements the seams of the runtime: `Reactor` and `Socket`, `Clock`, `Schedule`, `Resolve`, `Pool`. Everything that is left to chance is decided by one function from one
//! seed; what it decided can be written down, had again, and made smaller.
//!
//! What it finds by itself: panics and errors, deadlocks, tasks that wait for each other's locks, waits that nothing ends, livelocks, starvation, sockets that
//! are held after the end, clean-up that does not end ([`FailureKind`]).
//!
//! When to use it: to test anything that talks over a network, above all what it does when that fails. When not: to test what a real system does; the sockets
//! here are as those of Linux as far as `docs/simulation.md` says.
//!
//! # Examples
//!
//! ```
//! use asyncio_net::{TcpListener, TcpStream};
//! use asyncio_sim::{Explorer, Faults, Sim};
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//!
//! async fn server() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("0.0.0.0:80").await?;
//!     loop {
//!         let (mut stream, _) = listener.accept().await?;
//!         stream.write_all(b"hello").await?;
//!     }
//! }
//!
//! async fn client() -> std::io::Result<()> {
//!     let mut stream = TcpStream::connect("server:80").await?;
//!     let mut text = [0; 5];
//!     stream.read_exact(&mut text).await
//! }
//!
//! // A bad network, and a hundred seeds.
//! let faults = Faults { loss: true, slow_links: true, partial_io: true, ..Faults::none() };
//! Explorer::new("hello").seeds(100).check(&|builder| {
//!     let sim = builder.faults(faults).swarm(true).build();
//!     sim.host("server", "10.0.0.1", server);
//!     sim.client("client", "10.0.0.2", client);
//!     sim
//! });
//! ```

#![forbid(unsafe_code)]

mod choice;
mod trace;

mod net;
mod reactor;
mod socket;

mod clock;
mod names;
mod pool;
mod schedule;

mod explore;
mod fresh;
mod run;
mod shrink;

pub use choice::{BadScript, Script};
pub use clock::SimClock;
pub use explore::{Explorer, Found, test};
pub use fresh::{Difference, compare_in_fresh_processes};
pub use net::{Counts, Latency, Link};
pub use reactor::SimReactor;
pub use run::{Builder, Failure, FailureKind, Faults, Handle, Outcome, Sim, Summary, current};
pub use shrink::Shrunk;
pub use trace::TraceHash;
