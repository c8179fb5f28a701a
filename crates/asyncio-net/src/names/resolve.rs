//! The seam: [`Resolve`] says what a name means; and which resolver is whose.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use asyncio_base::shim::Arc;
use asyncio_tasks::TaskLocal;

use crate::names::host::{is_zoned, validate};
use crate::names::pool;

/// The answer of a resolver, as it comes.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Says what a name means: the system's own look-up ([`SystemResolver`]), a table ([`StaticResolver`](super::StaticResolver)), or something of your own.
///
/// It is asked for names alone: an IP address means itself, and what cannot be a name is refused before.
///
/// # Examples
///
/// One that asks twice:
///
/// ```
/// use asyncio_net::{Resolve, Resolving, SystemResolver, lookup_host, with_resolver};
///
/// #[derive(Debug)]
/// struct Twice;
///
/// impl Resolve for Twice {
///     fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
///         Box::pin(async move {
///             match SystemResolver.resolve(host, port).await {
///                 Ok(addrs) => Ok(addrs),
///                 Err(_) => SystemResolver.resolve(host, port).await,
///             }
///         })
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let addrs = asyncio_executor::block_on(with_resolver(Twice, lookup_host("localhost:80")))?;
/// assert!(addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 80));
/// # Ok(())
/// # }
/// ```
pub trait Resolve: Debug + Send + Sync + 'static {
    /// Returns the addresses of a host, in the order in which they are to be tried, with this port. None at all is an error to whoever asked.
    ///
    /// # Errors
    ///
    /// The future fails where the name cannot be resolved: with kind `NotFound` where it is known that there is no such name.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// The system's look-up, `getaddrinfo(3)`, on threads of its own. What is asked where nothing else was set.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to keep")]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        let question = (host.to_owned(), port);
        Box::pin(pool::run(move || std::net::ToSocketAddrs::to_socket_addrs(&question).map(Vec::from_iter)))
    }
}

static RESOLVER: TaskLocal<Option<Arc<dyn Resolve>>> = TaskLocal::new();

/// Has names mean what `resolver` says, for this task and those that it starts from now on; outside of tasks, for this thread.
///
/// It is a [task local](TaskLocal), inherited as those are.
///
/// # Examples
///
/// ```
/// use asyncio_net::{StaticResolver, lookup_host, set_resolver};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     set_resolver(StaticResolver::new().with("db.test", ["192.0.2.7".parse().unwrap()]));
///     let task = asyncio_tasks::spawn(lookup_host("db.test:5432"));
///     assert_eq!(task.await.unwrap()?, ["192.0.2.7:5432".parse().unwrap()]);
///     Ok(())
/// })
/// # }
/// ```
pub fn set_resolver(resolver: impl Resolve) {
    RESOLVER.set(Some(Arc::new(resolver)));
}

/// Has names mean what `resolver` says inside of `future`, and in the tasks that it starts.
///
/// # Cancel safety
///
/// That of the future.
pub async fn with_resolver<F: Future>(resolver: impl Resolve, future: F) -> F::Output {
    let resolver: Arc<dyn Resolve> = Arc::new(resolver);
    RESOLVER.scope(Some(resolver), future).await
}

/// Resolves a name by the resolver of this task.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let answer = if is_zoned(host) {
        SystemResolver.resolve(host, port).await
    } else {
        validate(host)?;
        match RESOLVER.try_get().flatten() {
            Some(resolver) => resolver.resolve(host, port).await,
            None => SystemResolver.resolve(host, port).await,
        }
    };
    match answer {
        Ok(addrs) if addrs.is_empty() => {
            Err(failed(host, &io::Error::new(io::ErrorKind::NotFound, "it has no address")))
        }
        Ok(addrs) => Ok(addrs),
        Err(error) => Err(failed(host, &error)),
    }
}

/// Names the host in an error.
pub(super) fn failed(host: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("looking up {host:?}: {error}"))
}
