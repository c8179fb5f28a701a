//! What users of `asyncio-net` may rely on. Everything that moves bytes runs on each selector.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[cfg(unix)]
mod around;
mod cancel;
mod codec;
mod faults;
mod files;
mod foreign;
mod kinds;
mod listener;
mod names;
mod protocol;
#[allow(dead_code, reason = "what the fuzz targets need of it")]
mod scripted;
mod server;
mod stream;
mod streams;
#[cfg(feature = "tls")]
mod tls;
mod udp;
mod workers;
mod worlds;

// What does not answer, and who asks it, is Linux's.
#[cfg(target_os = "linux")]
mod connect;
#[cfg(unix)]
mod copying;
#[cfg(unix)]
mod descriptors;
#[cfg(unix)]
mod readiness;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod unix_server;
