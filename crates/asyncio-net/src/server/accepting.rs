//! [`Acceptor`]: one listener of a server, and the task that accepts from it.

use std::fmt::{self, Debug};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use asyncio_base::shim::Arc;
use asyncio_base::{report, trace};
use asyncio_reactor::Socket;
use asyncio_sync::Permit;

use crate::accept::{Accepting, take_queue};
use crate::server::clients::{Client, Presence, Seat};
use crate::server::options::Around;

/// One listener of a server.
pub(crate) struct Acceptor {
    listener: Arc<dyn Socket>,
    backlog: u32,
    around: Option<Around>,
    presence: Presence,
    /// What is done when the listening ends.
    end: Option<Box<dyn FnOnce() + Send>>,
}

/// What a client that is accepted gets of the server.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    presence: Presence,
    place: Option<Permit<'a>>,
}

impl Ticket<'_> {
    /// Gives the client its place; the presence is for its handler.
    pub(crate) fn sit<C: Client + 'static>(self, client: &Arc<C>) -> (Seat, Presence) {
        // The seat gives it back.
        self.place.into_iter().for_each(Permit::forget);
        (self.presence.seat(client), self.presence)
    }
}

impl Acceptor {
    pub(super) fn new(
        listener: Arc<dyn Socket>,
        backlog: u32,
        around: Option<Around>,
        presence: Presence,
    ) -> Self {
        Self { listener, backlog, around, presence, end: None }
    }

    /// Does `end` when the listening ends, before the queue is taken.
    #[cfg(unix)]
    pub(super) fn with_end(self, end: impl FnOnce() + Send + 'static) -> Self {
        Self { end: Some(Box::new(end)), ..self }
    }

    /// Accepts until the server is closed; then also those who wait in the queue (V1).
    pub(crate) async fn run(self, on_client: impl Fn(Arc<dyn Socket>, Ticket<'_>)) {
        let Self { listener, backlog, around, presence, end } = self;
        let clients = presence.clients().clone();
        let on_client = |socket, place| {
            let ticket = Ticket { presence: presence.clone(), place };
            match around.as_ref().map_or(Ok(Arc::clone(&socket)), |around| around(socket)) {
                Ok(socket) => on_client(socket, ticket),
                Err(error) => report::report("net", format_args!("a client is turned away: {error}")),
            }
        };
        let mut waiting = Vec::new();
        {
            let mut closing = pin!(clients.closing().wait());
            let mut accepting = Accepting::default();
            loop {
                let accepted = poll_fn(|cx| accepting.poll(cx, &listener));
                let socket = match before(closing.as_mut(), accepted).await {
                    None => break,
                    Some(Ok((socket, peer))) => {
                        trace::debug!("net", "a client was accepted: {peer:?}");
                        socket
                    }
                    Some(Err(error)) => {
                        let what = format_args!("a server closes, since accepting failed: {error}");
                        report::report("net", what);
                        return clients.fail(error);
                    }
                };
                // Now, and not before: a listener to which nobody comes must not have a place.
                let Some(place) = before(closing.as_mut(), clients.place()).await else {
                    waiting.push(socket);
                    break;
                };
                on_client(socket, place);
            }
        }
        end.into_iter().for_each(|end| end());
        match take_queue(listener, backlog) {
            Ok(queue) => waiting.extend(queue.into_iter().map(|(socket, _)| socket)),
            // This reactor's listeners cannot be emptied; it is closed.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => clients.fail(error),
        }
        for socket in waiting {
            on_client(socket, clients.place().await);
        }
    }
}

impl Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Waits for `future`, unless `end` comes first.
async fn before<T>(
    mut end: Pin<&mut impl Future<Output = ()>>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match end.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => future.as_mut().poll(cx).map(Some),
    })
    .await
}
