//! The server: its limits, how it starts and ends, and one client from the first line to the last.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use asyncio::net::{ReadError, Server, StreamReader, StreamWriter, start_server};
use asyncio::sync::Semaphore;
use asyncio::{guard_local, race, timeout, yield_now};

use crate::room::{Hub, Member, Outbox};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many clients there may be.
    pub(crate) clients: usize,
    /// How many bytes a line of a client may have.
    pub(crate) line: usize,
    /// How many lines may wait for a client.
    pub(crate) queue: usize,
    /// How long a client may take for its nickname.
    pub(crate) greeting: Duration,
    /// How long a client may send nothing.
    pub(crate) idle: Duration,
    /// How long a client's queue may be full.
    pub(crate) stall: Duration,
    /// How long a client that is to go may take to read what it is still told.
    pub(crate) flush: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 1000,
            line: 1024,
            queue: 64,
            greeting: Duration::from_secs(30),
            idle: Duration::from_secs(600),
            stall: Duration::from_secs(10),
            flush: Duration::from_secs(2),
        }
    }
}

/// What all sessions share.
struct Shared {
    hub: Rc<Hub>,
    limits: Limits,
    seats: Semaphore,
}

pub(crate) struct ChatServer {
    shared: Rc<Shared>,
    server: Server,
}

impl ChatServer {
    pub(crate) async fn start(address: &str, limits: Limits) -> io::Result<Self> {
        let (hub, seats) = (Rc::new(Hub::new()), Semaphore::new(limits.clients));
        let shared = Rc::new(Shared { hub, limits, seats });
        let of_session = shared.clone();
        let handler = move |reader, writer| session(of_session.clone(), reader, writer);
        let server = start_server(handler, address).await?;
        Ok(Self { shared, server })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.local_addrs()[0]
    }

    /// Serves as long as `until` takes, and then ends in good order. It does so, too, where it is
    /// cancelled or dropped: whoever waits for the scope around waits for that.
    pub(crate) async fn run<T>(self, until: impl Future<Output = T>) -> T {
        let server = guard_local(self, |server| server.shut_down());
        let value = until.await;
        server.finish().await;
        value
    }

    /// Nobody new; everybody is told, and has `flush` to read it. Twice that is for what goes wrong.
    async fn shut_down(self) {
        self.server.close();
        self.shared.hub.close();
        let patience = 2 * self.shared.limits.flush;
        if timeout(patience, self.server.wait_closed()).await.is_err() {
            self.server.abort_clients();
            self.server.wait_closed().await;
        }
    }
}

/// Why a client goes.
enum End {
    Full,
    NoNick,
    BadNick,
    NickTaken(String),
    Quit,
    Idle,
    TooLong(usize),
    Shutdown,
    /// It does not read.
    Slow,
    /// The connection has failed.
    Broken,
}

impl End {
    /// What it is told, if it can be told anything.
    fn last_word(&self) -> Option<String> {
        Some(match self {
            Self::Full => "! the server is full".to_owned(),
            Self::NoNick => "! you have not said your nickname in time".to_owned(),
            Self::BadNick => "! a nickname has 1 to 24 letters, digits, - and _".to_owned(),
            Self::NickTaken(nick) => format!("! the nickname {nick} is taken"),
            Self::Quit => "* goodbye".to_owned(),
            Self::Idle => "! you have sent nothing for too long".to_owned(),
            Self::TooLong(limit) => format!("! a line has at most {limit} bytes"),
            Self::Shutdown => "* the server is shutting down".to_owned(),
            Self::Slow | Self::Broken => return None,
        })
    }
}

/// One client. How it ends is no error of the server's, so nothing is to be reported.
async fn session(shared: Rc<Shared>, mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    let limits = shared.limits;
    reader.set_limit(limits.line);
    if shared.seats.available_permits() == 0 {
        part(End::Full, limits.flush, reader, writer).await;
        return Ok(());
    }
    let _seat = shared.seats.acquire().await.map_err(io::Error::other)?;

    writer.write(b"* your nickname?\n");
    let closing = async {
        shared.hub.closed().await;
        Err::<Member, End>(End::Shutdown)
    };
    let greeting = greet(&shared, &mut reader);
    let greeted = race!(closing, greeting);
    let end = match greeted {
        Ok(member) => chat(&shared, member, &mut reader, &mut writer).await,
        Err(end) => end,
    };
    part(end, limits.flush, reader, writer).await;
    Ok(())
}

async fn greet(shared: &Shared, reader: &mut StreamReader) -> Result<Member, End> {
    let Ok(first) = timeout(shared.limits.greeting, next_line(reader, shared.limits.line)).await else {
        return Err(End::NoNick);
    };
    let nick = first?;
    if !is_name(&nick) {
        return Err(End::BadNick);
    }
    let outbox = Outbox::new(shared.limits.queue);
    shared.hub.enter(&nick, outbox).ok_or(End::NickTaken(nick))
}

/// Everything between the nickname and the last word. All parts lose nothing when they are dropped.
async fn chat(
    shared: &Shared,
    mut member: Member,
    reader: &mut StreamReader,
    writer: &mut StreamWriter,
) -> End {
    let (limits, outbox) = (&shared.limits, member.outbox());
    member.hear(&format!("* welcome, {}", member.nick()));
    let closing = async {
        shared.hub.closed().await;
        End::Shutdown
    };
    let stalling = async {
        outbox.stalled(limits.stall).await;
        End::Slow
    };
    let talking = talk(&mut member, reader, limits);
    let writing = write_out(&outbox, writer);
    let end = race!(closing, stalling, talking, writing);
    drop(member); // the room is told, and the nickname is free
    while let Some(line) = outbox.try_next() {
        writer.write(line.as_bytes()); // it is bounded by the queue
    }
    end
}

/// Does what the client says, until it ends.
async fn talk(member: &mut Member, reader: &mut StreamReader, limits: &Limits) -> End {
    loop {
        let Ok(read) = timeout(limits.idle, next_line(reader, limits.line)).await else {
            return End::Idle;
        };
        let line = match read {
            Ok(line) => line,
            Err(end) => return end,
        };
        if let Some(end) = obey(member, &line) {
            return end;
        }
        // Many lines may have come at once. Those who are told need turns to write, or their queues overflow.
        yield_now().await;
    }
}

fn obey(member: &mut Member, line: &str) -> Option<End> {
    let mut words = line.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("/quit"), None, _) => return Some(End::Quit),
        (Some("/who"), None, _) => member.who(),
        (Some("/leave"), None, _) => member.leave(),
        (Some("/join"), Some(room), None) if is_name(room) => member.join(room),
        (Some("/join"), ..) => member.hear("! /join ROOM, of 1 to 24 letters, digits, - and _"),
        _ => member.say(line),
    }
    None
}

/// Writes what the client is told. It ends only if the connection fails.
async fn write_out(outbox: &Outbox, writer: &mut StreamWriter) -> End {
    while let Some(line) = outbox.next().await {
        writer.write(line.as_bytes());
        if writer.drain().await.is_err() {
            break;
        }
    }
    End::Broken
}

/// A line without its end, and without what would move a terminal's cursor.
async fn next_line(reader: &mut StreamReader, limit: usize) -> Result<String, End> {
    match reader.read_line().await {
        Ok(Some(line)) => Ok(String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).collect()),
        Ok(None) => Err(End::Quit),
        Err(ReadError::LimitOverrun { .. }) => Err(End::TooLong(limit)),
        Err(_) => Err(End::Broken),
    }
}

fn is_name(word: &str) -> bool {
    let is_allowed = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    (1..=24).contains(&word.chars().count()) && word.chars().all(is_allowed)
}

/// Says the last word, and closes when the client has ended too, or after `limit`. What nobody has read
/// would make a reset of an earlier close, by which the last word may be lost.
async fn part(end: End, limit: Duration, mut reader: StreamReader, mut writer: StreamWriter) {
    let Some(word) = end.last_word() else {
        writer.abort();
        return;
    };
    writer.write(format!("{word}\n").as_bytes());
    writer.write_eof();
    let parting = async {
        while !reader.read(4096).await?.is_empty() {}
        writer.close().await
    };
    let parted = timeout(limit, parting).await;
    if !matches!(parted, Ok(Ok(()))) {
        writer.abort(); // it has had its time
    }
}
