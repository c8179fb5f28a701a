//! Who is there, who is in which room, and the bounded queue through which each client is told.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use asyncio::sync::{Event, Queue};
use asyncio::timeout;

/// The lines that wait to be written to one client. Pushing never waits, so nobody is held up by
/// somebody who does not read: what finds no room is lost, and the client is told how many lines.
pub(crate) struct Outbox {
    queue: Queue<Rc<str>>,
    is_full: Event,
    has_room: Event,
    lost: Cell<usize>,
}

impl Outbox {
    pub(crate) fn new(lines_max: usize) -> Self {
        Self {
            queue: Queue::new(lines_max.max(1)), // 0 would be no bound at all
            is_full: Event::new(),
            has_room: Event::new(),
            lost: Cell::new(0),
        }
    }

    fn push(&self, line: &Rc<str>) {
        let lost = self.lost.get();
        let line: Rc<str> = match lost {
            0 => line.clone(),
            _ => format!("! lines lost: {lost}\n{line}").into(),
        };
        let is_in = self.queue.try_put(line).is_ok();
        self.lost.set(if is_in { 0 } else { lost + 1 });
        if self.queue.is_full() {
            self.has_room.clear();
            self.is_full.set();
        }
    }

    fn has_taken(&self) {
        self.is_full.clear();
        self.has_room.set();
    }

    /// The next line. Dropped, it loses none.
    pub(crate) async fn next(&self) -> Option<Rc<str>> {
        let line = self.queue.get().await.ok()?;
        self.has_taken();
        Some(line)
    }

    /// The next line, if there is one already.
    pub(crate) fn try_next(&self) -> Option<Rc<str>> {
        let line = self.queue.try_get().ok()?;
        self.has_taken();
        Some(line)
    }

    /// Ends when the queue has been full for `limit` without a break.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            self.is_full.wait().await;
            if timeout(limit, self.has_room.wait()).await.is_err() {
                return;
            }
        }
    }
}

type Room = BTreeMap<String, Rc<Outbox>>;

/// All nicknames, and all rooms that have somebody in them.
pub(crate) struct Hub {
    nicks: RefCell<BTreeSet<String>>,
    rooms: RefCell<BTreeMap<String, Room>>,
    closing: Event,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { nicks: RefCell::default(), rooms: RefCell::default(), closing: Event::new() }
    }

    /// Has every client say goodbye. From here on leaving is not announced: everybody does.
    pub(crate) fn close(&self) {
        self.closing.set();
    }

    /// Waits for `close`.
    pub(crate) async fn closed(&self) {
        self.closing.wait().await;
    }

    /// `None` if somebody has that nickname.
    pub(crate) fn enter(self: &Rc<Self>, nick: &str, outbox: Outbox) -> Option<Member> {
        if !self.nicks.borrow_mut().insert(nick.to_owned()) {
            return None;
        }
        Some(Member { hub: self.clone(), nick: nick.to_owned(), room: None, outbox: Rc::new(outbox) })
    }

    fn tell(&self, room: &str, text: &str, all_but: Option<&str>) {
        let line: Rc<str> = format!("{text}\n").into();
        for (nick, outbox) in self.rooms.borrow().get(room).into_iter().flatten() {
            if all_but != Some(nick.as_str()) {
                outbox.push(&line);
            }
        }
    }
}

/// One client's nickname, and its place in a room. Dropped, it gives up both.
pub(crate) struct Member {
    hub: Rc<Hub>,
    nick: String,
    room: Option<String>,
    outbox: Rc<Outbox>,
}

impl Member {
    pub(crate) fn nick(&self) -> &str {
        &self.nick
    }

    pub(crate) fn outbox(&self) -> Rc<Outbox> {
        self.outbox.clone()
    }

    /// Tells this client alone.
    pub(crate) fn hear(&self, text: &str) {
        self.outbox.push(&format!("{text}\n").into());
    }

    /// Tells everybody else in the room.
    pub(crate) fn say(&self, text: &str) {
        match &self.room {
            Some(room) => self.hub.tell(room, &format!("<{}> {text}", self.nick), Some(&self.nick)),
            None => self.hear("! you are in no room: /join ROOM"),
        }
    }

    /// Leaves the room where it is, and announces itself in another one.
    pub(crate) fn join(&mut self, room: &str) {
        if self.room.as_deref() == Some(room) {
            return self.hear(&format!("! you are in {room} already"));
        }
        self.step_out();
        let mut rooms = self.hub.rooms.borrow_mut();
        rooms.entry(room.to_owned()).or_default().insert(self.nick.clone(), self.outbox.clone());
        drop(rooms);
        self.room = Some(room.to_owned());
        self.hub.tell(room, &format!("* {} has joined {room}", self.nick), None);
    }

    pub(crate) fn leave(&mut self) {
        match self.step_out() {
            Some(farewell) => self.hear(&farewell),
            None => self.hear("! you are in no room"),
        }
    }

    pub(crate) fn who(&self) {
        let rooms = self.hub.rooms.borrow();
        let Some((name, room)) = self.room.as_ref().and_then(|name| rooms.get_key_value(name)) else {
            return self.hear("! you are in no room");
        };
        let nicks: Vec<&str> = room.keys().map(String::as_str).collect();
        self.hear(&format!("* in {name}: {}", nicks.join(", ")));
    }

    /// Leaves the room, and gives what those who stay have been told.
    fn step_out(&mut self) -> Option<String> {
        let room = self.room.take()?;
        let mut rooms = self.hub.rooms.borrow_mut();
        if let Some(members) = rooms.get_mut(&room) {
            members.remove(&self.nick);
            if members.is_empty() {
                rooms.remove(&room);
            }
        }
        drop(rooms);
        let farewell = format!("* {} has left {room}", self.nick);
        if !self.hub.closing.is_set() {
            self.hub.tell(&room, &farewell, None);
        }
        Some(farewell)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.step_out();
        self.hub.nicks.borrow_mut().remove(&self.nick);
    }
}
