//! [`HickoryResolver`]: names by asking name servers, on our sockets and our timers, without a thread.

use std::fmt::{self, Debug};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::thread::ThreadId;
use std::time::Duration;

use asyncio_base::shim::Mutex;
use asyncio_reactor::{RecvMsg, SendMsg, Waiter};
use asyncio_tasks::Cleanup;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::name_server::GenericConnector;
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::proto::runtime::{RuntimeProvider, Spawn, Time};
use hickory_resolver::proto::tcp::DnsTcpStream;
use hickory_resolver::proto::udp::DnsUdpSocket;
use hickory_resolver::proto::{ProtoError, ProtoErrorKind};
use hickory_resolver::{Hosts, Name, ResolveError, Resolver};

use crate::connect::ConnectOptions;
use crate::names::resolve::{Resolve, Resolving};
use crate::tcp::{TcpStream, to_ip};
use crate::udp::UdpSocket;

/// How long the connection to a name server may take where hickory says nothing of it. Its own default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks name servers itself, by [hickory](hickory_resolver), with a cache; it is cancelled as any future is.
///
/// Behind the feature `hickory`. What it needs of the system it does by our sockets and our timers, so it runs on any reactor; unlike
/// [`SystemResolver`](super::SystemResolver) it starts no thread on a loop of ours, and reads neither `nsswitch.conf` nor what that may bring in.
///
/// What stands in `/etc/hosts` is the answer, also where it has an address of one kind alone. Otherwise IPv6 addresses come before those of
/// IPv4 where both are asked for, as RFC 8305 likes them, and each kind in the order of the answer.
///
/// Each loop of a runtime has a cache and connections to name servers of its own, which are driven where they were made. A task that
/// moves to another worker while it asks may leave one there, and bare executors share theirs: where such a loop does not go on, a question
/// waits for as long as `ResolverOpts` says. hickory passes over lines of `/etc/hosts` whose names have a `_` within.
///
/// # Examples
///
/// ```no_run
/// use asyncio_net::{HickoryResolver, lookup_host, set_resolver};
///
/// # async fn example() -> std::io::Result<()> {
/// set_resolver(HickoryResolver::from_system()?);
/// println!("{:?}", lookup_host("example.org:443").await?);
/// # Ok(())
/// # }
/// ```
pub struct HickoryResolver {
    config: ResolverConfig,
    options: ResolverOpts,
    hosts: Hosts,
    /// A connection is driven by the loop that made it, and whoever else asked it would wait for that loop.
    resolvers: Mutex<Vec<(Home, Resolver<GenericConnector<Runtime>>)>>,
}

/// Whose connections they are: a loop of a runtime; `None` is whoever has none.
type Home = Option<(Cleanup, ThreadId)>;

impl HickoryResolver {
    /// Asks whom the system asks, as `/etc/resolv.conf` and `/etc/hosts` say now, for IPv4 and IPv6 at the same time.
    ///
    /// # Errors
    ///
    /// Fails where `/etc/resolv.conf` cannot be read, or makes no sense. A table of hosts that cannot be read is taken for an empty one, as hickory does.
    pub fn from_system() -> io::Result<Self> {
        let (config, mut options) = hickory_resolver::system_conf::read_system_conf().map_err(into_io)?;
        // Happy Eyeballs wants both.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Ok(Self::new(config, options))
    }

    /// Asks whom you say, as you say; hickory's default asks for IPv6 only where there is no IPv4.
    pub fn new(config: ResolverConfig, mut options: ResolverOpts) -> Self {
        let hosts = match options.use_hosts_file {
            ResolveHosts::Always | ResolveHosts::Auto => Hosts::from_system().unwrap_or_default(),
            ResolveHosts::Never => Hosts::default(),
        };
        // hickory looks there for each kind of address by itself, and asks for the other, and after it has tried the domains of the search list.
        options.use_hosts_file = ResolveHosts::Never;
        Self { config, options, hosts, resolvers: Mutex::default() }
    }

    /// Forgets what has been answered.
    pub fn clear_cache(&self) {
        self.resolvers.lock().iter().for_each(|(_, resolver)| resolver.clear_cache());
    }

    /// Returns that of this loop.
    fn resolver(&self) -> Resolver<GenericConnector<Runtime>> {
        let home = Cleanup::current().map(|runtime| (runtime, std::thread::current().id()));
        let mut resolvers = self.resolvers.lock();
        if let Some((_, resolver)) = resolvers.iter().find(|(other, _)| *other == home) {
            return resolver.clone();
        }
        let is_over = |home: &Home| home.as_ref().is_some_and(|(runtime, _)| runtime.is_over());
        let (over, alive) = std::mem::take(&mut *resolvers).into_iter().partition(|(home, _)| is_over(home));
        *resolvers = alive;
        let builder = Resolver::builder_with_config(self.config.clone(), GenericConnector::new(Runtime));
        let resolver = builder.with_options(self.options.clone()).build();
        resolvers.push((home, resolver.clone()));
        drop(resolvers);
        drop::<Vec<_>>(over);
        resolver
    }

    /// Returns what `/etc/hosts` has.
    fn of_hosts(&self, name: &Name) -> Vec<IpAddr> {
        let types: &[RecordType] = match self.options.ip_strategy {
            LookupIpStrategy::Ipv4Only => &[RecordType::A],
            LookupIpStrategy::Ipv6Only => &[RecordType::AAAA],
            _ => &[RecordType::AAAA, RecordType::A],
        };
        let of_type = |ty: &RecordType| self.hosts.lookup_static_host(&Query::query(name.clone(), *ty));
        let lookups: Vec<_> = types.iter().map(of_type).collect();
        lookups.iter().flatten().flat_map(|lookup| lookup.iter().filter_map(RData::ip_addr)).collect()
    }
}

impl Resolve for HickoryResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move {
            if let Ok(ip) = host.parse() {
                return Ok(vec![SocketAddr::new(ip, port)]);
            }
            // As it stands: hickory's own reading refuses labels that have a `_` within.
            let name = Name::from_ascii(host).map_err(|error| into_io(error.into()))?;
            let mut ips = self.of_hosts(&name);
            if ips.is_empty() {
                ips.extend(self.resolver().lookup_ip(name).await.map_err(into_io)?);
                // Stable: each kind stays in its order.
                ips.sort_by_key(IpAddr::is_ipv4);
            }
            Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
        })
    }
}

impl Debug for HickoryResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HickoryResolver")
            .field("name_servers", &self.config.name_servers())
            .finish_non_exhaustive()
    }
}

fn into_io(error: ResolveError) -> io::Error {
    let kind = match error.proto().map(ProtoError::kind) {
        // Others are the servers' trouble, such as SERVFAIL.
        Some(ProtoErrorKind::NoRecordsFound {
            response_code: ResponseCode::NXDomain | ResponseCode::NoError,
            ..
        }) => io::ErrorKind::NotFound,
        Some(ProtoErrorKind::Timeout) => io::ErrorKind::TimedOut,
        Some(ProtoErrorKind::Io(error)) => error.kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// What hickory needs of a runtime.
#[derive(Clone)]
struct Runtime;

impl RuntimeProvider for Runtime {
    type Handle = Self;
    type Timer = Self;
    type Udp = Datagrams;
    type Tcp = Bytes;

    fn create_handle(&self) -> Self {
        Self
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        local: Option<SocketAddr>,
        timeout: Option<Duration>,
    ) -> Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>> {
        let mut options = ConnectOptions::new();
        if let Some(local) = local {
            options = options.local_addr(local);
        }
        let connecting = async move { options.connect(server).await };
        Box::pin(async move {
            let stream = Self::timeout(timeout.unwrap_or(CONNECT_TIMEOUT), connecting).await??;
            stream.set_nodelay(true)?;
            Ok(Bytes(stream))
        })
    }

    fn bind_udp(
        &self,
        local: SocketAddr,
        _server: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Datagrams>> + Send>> {
        Box::pin(async move {
            let socket = UdpSocket::bind(local).await?;
            Ok(Datagrams { socket, receives: Mutex::default(), sends: Mutex::default() })
        })
    }
}

impl Spawn for Runtime {
    fn spawn_bg<F>(&mut self, future: F)
    where
        F: Future<Output = Result<(), ProtoError>> + Send + 'static,
    {
        asyncio_tasks::spawn_background(async {
            // Whoever asked is told by the channel between the two.
            let _ = future.await;
        });
    }
}

// As `async_trait`, which the trait is declared with, has it.
impl Time for Runtime {
    fn delay_for<'async_trait>(
        duration: Duration,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'async_trait>> {
        Box::pin(asyncio_timers::sleep(duration))
    }

    fn timeout<'async_trait, F>(
        duration: Duration,
        future: F,
    ) -> Pin<Box<dyn Future<Output = Result<F::Output, io::Error>> + Send + 'async_trait>>
    where
        F: Future + Send + 'static + 'async_trait,
    {
        Box::pin(async move {
            let (mut future, mut sleep) = (pin!(future), pin!(asyncio_timers::sleep(duration)));
            poll_fn(|cx| {
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                ready!(sleep.as_mut().poll(cx));
                let late = format!("the name server has not answered within {duration:?}");
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)))
            })
            .await
        })
    }
}

/// A datagram socket whose places among those that wait are its own, since hickory polls it by reference. One task polls it at a time.
struct Datagrams {
    socket: UdpSocket,
    receives: Mutex<Waiter>,
    sends: Mutex<Waiter>,
}

impl DnsUdpSocket for Datagrams {
    type Time = Runtime;

    fn poll_recv_from(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut from = None;
        let mut bufs = [IoSliceMut::new(buf)];
        let mut message = RecvMsg { addr: Some(&mut from), ..RecvMsg::new(&mut bufs) };
        let received = ready!(self.socket.socket().poll_recv(cx, &mut self.receives.lock(), &mut message))?;
        let from = from.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
        Poll::Ready(to_ip(&from).map(|from| (received.n, from)))
    }

    fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], target: SocketAddr) -> Poll<io::Result<usize>> {
        let (bufs, target) = ([IoSlice::new(buf)], target.into());
        let message = SendMsg { addr: Some(&target), ..SendMsg::new(&bufs) };
        self.socket.socket().poll_send(cx, &mut self.sends.lock(), &message)
    }
}

struct Bytes(TcpStream);

impl DnsTcpStream for Bytes {
    type Time = Runtime;
}

impl futures_io::AsyncRead for Bytes {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl futures_io::AsyncWrite for Bytes {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
