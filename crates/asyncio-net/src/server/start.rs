//! Starting a server: its listeners first, then a task for each that accepts.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;

use asyncio_base::shim::Arc;
use asyncio_reactor::{Socket, SocketOption};
use asyncio_sync::oneshot::{Receiver, Sender, oneshot};
use asyncio_tasks::{spawn_local, spawn_pinned};

use crate::addr::ToSocketAddrs;
use crate::server::accepting::{Acceptor, Ticket};
use crate::server::clients::Presence;
use crate::server::{Server, ServerOptions};
use crate::tcp::to_ip;

impl ServerOptions {
    /// Serves on this loop.
    pub(crate) async fn start(
        &self,
        addrs: impl ToSocketAddrs,
        on_client: impl Fn(Arc<dyn Socket>, Ticket<'_>) + Clone + 'static,
    ) -> io::Result<Server> {
        let listeners = self.listen(addrs).await?;
        let clients = self.clients();
        let presence = Presence::new(clients.clone());
        let mut local_addrs = Vec::new();
        for (listener, addr) in listeners {
            local_addrs.push(addr);
            let acceptor = self.acceptor(listener, presence.clone());
            spawn_local(acceptor.run(on_client.clone())).detach();
        }
        Ok(Server::new(clients, local_addrs))
    }

    /// Serves on this loop whoever comes to a socket that listens already.
    pub(crate) fn start_with(
        &self,
        listener: Arc<dyn Socket>,
        on_client: impl Fn(Arc<dyn Socket>, Ticket<'_>) + Clone + 'static,
    ) -> Server {
        // Not one of TCP's, where it fails.
        let _ = listener.set_option(SocketOption::NoDelay(true));
        let local_addrs = listener.local_addr().ok().and_then(|addr| to_ip(&addr).ok()).into_iter().collect();
        let clients = self.clients();
        let presence = Presence::new(clients.clone());
        let acceptor = self.acceptor(listener, presence);
        spawn_local(acceptor.run(on_client)).detach();
        Server::new(clients, local_addrs)
    }

    /// Serves at a Unix socket on this loop.
    #[cfg(unix)]
    pub(crate) async fn start_unix(
        &self,
        path: &Path,
        on_client: impl Fn(Arc<dyn Socket>, Ticket<'_>) + Clone + 'static,
    ) -> io::Result<Server> {
        let (listener, file) = self.listen_unix(path).await?;
        let clients = self.clients();
        let presence = Presence::new(clients.clone());
        let acceptor = self.acceptor(listener, presence);
        // Before the queue is taken: whoever comes after that would come too late.
        let acceptor = acceptor.with_end(move || drop(file));
        spawn_local(acceptor.run(on_client)).detach();
        Ok(Server::new(clients, Vec::new()))
    }

    /// Serves on every worker, with listeners of each.
    pub(crate) async fn start_on_workers<C>(
        &self,
        addrs: impl ToSocketAddrs,
        on_client: impl Fn() -> C + Clone + Send + 'static,
    ) -> io::Result<Server>
    where
        C: Fn(Arc<dyn Socket>, Ticket<'_>) + Clone + 'static,
    {
        let addrs = addrs.to_socket_addrs().await?;
        // The tasks first: a listener without one would take connections that nobody accepts.
        let workers = on_each_worker(move |acceptors: Vec<Acceptor>| {
            let on_client = on_client();
            for acceptor in acceptors {
                spawn_local(acceptor.run(on_client.clone())).detach();
            }
        });
        assert!(!workers.is_empty(), "a server was started where no event loop runs");
        let options = self.clone().reuse_port(self.reuse_port || workers.len() > 1);
        let first = options.listen(&addrs[..]).await?;
        let local_addrs: Vec<SocketAddr> = first.iter().map(|(_, addr)| *addr).collect();
        let mut sets = Vec::new();
        for _ in 1..workers.len() {
            let set: io::Result<Vec<_>> =
                first.iter().map(|listener| options.listen_again(listener)).collect();
            sets.push(set?);
        }
        sets.insert(0, first);

        let clients = self.clients();
        let presence = Presence::new(clients.clone());
        for (worker, set) in workers.into_iter().zip(sets) {
            let acceptor = |(listener, _)| self.acceptor(listener, presence.clone());
            // One whose worker has ended meanwhile listens no more.
            let _ = worker.send(set.into_iter().map(acceptor).collect());
        }
        Ok(Server::new(clients, local_addrs))
    }
}

/// Starts a task on each worker, which does `f` with what it is sent.
fn on_each_worker<T: Send + 'static>(f: impl FnOnce(T) + Clone + Send + 'static) -> Vec<Sender<T>> {
    let mut senders = Vec::new();
    for worker in 0.. {
        let (sender, receiver): (Sender<T>, Receiver<T>) = oneshot();
        let f = f.clone();
        let wait = move || async move {
            // It is not sent anything where the server could not be started.
            if let Ok(value) = receiver.await {
                f(value);
            }
        };
        match spawn_pinned(worker, wait) {
            Ok(task) => task.detach(),
            Err(_) => break,
        }
        senders.push(sender);
    }
    senders
}
