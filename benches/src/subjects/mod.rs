//! The subjects that every build has, one file each. `peers/subjects/` has the others, and the lists of all.

pub mod asyncio;
pub mod asyncio_net;
pub mod bulk;
pub mod raw_epoll;
pub mod raw_futures;
pub mod tokio;
pub mod udp;

use anyhow::Result;

use self::asyncio::{AsyncioLocal, AsyncioWorkers2};
use self::tokio::{TokioCt, TokioMt2};
use crate::peers;
use crate::subject::Subject;

/// Something that is done with a runtime.
pub trait Visit {
    type Output;
    fn visit<S: Subject>(self) -> Self::Output;
}

/// Does something with the runtime of this name.
pub fn with<V: Visit>(name: &str, visit: V) -> Result<V::Output> {
    Ok(match name {
        AsyncioLocal::NAME => visit.visit::<AsyncioLocal>(),
        TokioCt::NAME => visit.visit::<TokioCt>(),
        AsyncioWorkers2::NAME => visit.visit::<AsyncioWorkers2>(),
        TokioMt2::NAME => visit.visit::<TokioMt2>(),
        _ => return peers::with(name, visit),
    })
}
