//! Who is served: the list of a server's clients, and the one place that knows when the last is gone.

use std::fmt::{self, Debug};
use std::io;
use std::sync::Weak;

use asyncio_base::shim::{Arc, Mutex};
use asyncio_sync::{Event, Permit, Semaphore};
use slab::Slab;

/// A connection that a server has accepted, as the server sees it.
pub(crate) trait Client: Debug + Send + Sync {
    /// Closes it after what is unsent.
    fn close(self: Arc<Self>);
    /// Closes it at once.
    fn abort(self: Arc<Self>);
}

/// The clients of a server.
#[derive(Debug)]
pub(crate) struct Clients {
    list: Mutex<List>,
    /// As many as may be served, if there is such a number.
    places: Option<Semaphore>,
    closing: Event,
    ended: Event,
}

#[derive(Debug, Default)]
struct List {
    clients: Slab<Weak<dyn Client>>,
    /// What becomes of those who are let in yet, once the server is closing.
    late: Late,
    /// How often all were thrown out.
    aborts: u32,
    /// Why the server has closed itself: what kind of error, and what it says.
    failure: Option<(io::ErrorKind, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Late {
    #[default]
    Served,
    Closed,
    Aborted,
}

impl Clients {
    pub(crate) fn new(clients_max: Option<usize>) -> Self {
        Self {
            list: Mutex::default(),
            places: clients_max.map(Semaphore::new),
            closing: Event::new(),
            ended: Event::new(),
        }
    }

    /// Waits for a place, where they are counted. Whoever has it is [seated](Presence::seat).
    pub(super) async fn place(&self) -> Option<Permit<'_>> {
        match &self.places {
            // OK because nobody closes it.
            Some(places) => places.acquire().await.ok(),
            None => None,
        }
    }

    /// Stops the listening.
    pub(crate) fn close(&self) {
        self.closing.set();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_set()
    }

    /// Set when the server stops listening.
    pub(super) fn closing(&self) -> &Event {
        &self.closing
    }

    /// Set when the last [`Presence`] is gone.
    pub(super) fn ended(&self) -> &Event {
        &self.ended
    }

    /// Stops the listening, since a listener is broken.
    pub(super) fn fail(&self, error: io::Error) {
        self.list.lock().failure.get_or_insert_with(|| (error.kind(), error.to_string()));
        self.close();
    }

    pub(super) fn failure(&self) -> Option<io::Error> {
        let list = self.list.lock();
        list.failure.as_ref().map(|(kind, text)| io::Error::new(*kind, text.clone()))
    }

    pub(super) fn count(&self) -> usize {
        self.list.lock().clients.len()
    }

    /// Closes all connections, and where the server is closing those of who is let in yet.
    pub(super) fn close_each(&self) {
        self.each(Late::Closed).into_iter().for_each(Client::close);
    }

    /// The same at once.
    pub(super) fn abort_each(&self) {
        self.each(Late::Aborted).into_iter().for_each(Client::abort);
    }

    fn each(&self, late: Late) -> Vec<Arc<dyn Client>> {
        let is_closing = self.is_closing();
        let mut list = self.list.lock();
        if late == Late::Aborted {
            list.aborts = list.aborts.wrapping_add(1);
        }
        if is_closing {
            list.late = late;
        }
        list.clients.iter().filter_map(|(_, client)| client.upgrade()).collect()
    }

    /// How often all were thrown out: whoever was there, and is not any more, was among them.
    pub(crate) fn aborts(&self) -> u32 {
        self.list.lock().aborts
    }
}

/// Keeps a server from having ended (V2). Listeners, connections and handlers each have one.
#[derive(Clone)]
pub(crate) struct Presence {
    /// The last one to go says so.
    inner: Arc<Last>,
}

struct Last(Arc<Clients>);

impl Presence {
    pub(crate) fn new(clients: Arc<Clients>) -> Self {
        Self { inner: Arc::new(Last(clients)) }
    }

    pub(crate) fn clients(&self) -> &Arc<Clients> {
        &self.inner.0
    }

    /// Gives a client its place, in the list and among those that are counted.
    pub(crate) fn seat<C: Client + 'static>(&self, client: &Arc<C>) -> Seat {
        let weak = Arc::downgrade(client);
        let mut list = self.clients().list.lock();
        let key = list.clients.insert(weak);
        let key = u32::try_from(key).expect("fewer than 2^32 connections fit into memory");
        let late = list.late;
        drop(list);
        // Before what may panic in a user's socket.
        let seat = Seat::of_parts(key, self.clone());
        match late {
            Late::Served => {}
            Late::Closed => client.clone().close(),
            Late::Aborted => client.clone().abort(),
        }
        seat
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        // A listener whose loop has ended did not see it.
        self.0.closing.set();
        self.0.ended.set();
    }
}

impl Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").finish_non_exhaustive()
    }
}

/// A client's place, left when dropped. Small, since every connection of a server has one.
#[derive(Debug)]
pub(crate) struct Seat {
    key: u32,
    /// `None` once it is in parts.
    presence: Option<Presence>,
}

impl Seat {
    /// Takes it apart, for one who has room for a number elsewhere, and makes it [whole](Self::of_parts) again to leave it.
    pub(crate) fn into_parts(mut self) -> (u32, Option<Presence>) {
        (self.key, self.presence.take())
    }

    pub(crate) fn of_parts(key: u32, presence: Presence) -> Self {
        Self { key, presence: Some(presence) }
    }

    /// Another client has the place from now on.
    #[cfg(feature = "tls")]
    pub(crate) fn give<C: Client + 'static>(&self, client: &Arc<C>) {
        let weak: Weak<dyn Client> = Arc::<C>::downgrade(client);
        let Some(presence) = &self.presence else { return };
        let mut list = presence.clients().list.lock();
        let former = list.clients.get_mut(self.key as usize).map(|place| std::mem::replace(place, weak));
        drop(list);
        drop(former);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(presence) = &self.presence else { return };
        let clients = presence.clients();
        let weak = clients.list.lock().clients.try_remove(self.key as usize);
        drop(weak);
        if let Some(places) = &clients.places {
            // OK because it was taken before.
            places.add_permits(1).expect("no more come back than there were");
        }
    }
}
