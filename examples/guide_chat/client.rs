//! A client that remembers what it was told, and the scripted conversation of `--demo`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use asyncio::net::{StreamReader, StreamWriter, open_connection};
use asyncio::sync::Event;
use asyncio::{timeout, try_join};

use crate::server::{ChatServer, Limits};

pub(crate) struct Client {
    reader: StreamReader,
    writer: StreamWriter,
    seen: Vec<String>,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> io::Result<Self> {
        let (reader, writer) = open_connection(addr).await?;
        Ok(Self { reader, writer, seen: Vec::new() })
    }

    /// Says its nickname, joins a room, and hears the answers.
    pub(crate) async fn enter(addr: SocketAddr, nick: &str, room: &str) -> io::Result<Self> {
        let mut client = Self::connect(addr).await?;
        for line in [nick.to_owned(), format!("/join {room}")] {
            client.hear().await?;
            client.send(&line);
        }
        client.hear().await?;
        Ok(client)
    }

    pub(crate) fn send(&mut self, line: &str) {
        self.writer.write(format!("{line}\n").as_bytes());
    }

    /// The next line, or `None` at the end.
    pub(crate) async fn hear(&mut self) -> io::Result<Option<String>> {
        let Some(line) = self.reader.read_line().await? else { return Ok(None) };
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        self.seen.push(line.clone());
        Ok(Some(line))
    }

    /// Hears the rest, closes, and gives all that it was told.
    pub(crate) async fn finish(mut self) -> io::Result<Vec<String>> {
        while self.hear().await?.is_some() {}
        self.writer.close().await?;
        Ok(self.seen)
    }
}

type Transcript = (&'static str, Vec<String>);

/// Each step waits for what it brings about, so that everybody sees the same in every run.
async fn converse(addr: SocketAddr, stop: &Event) -> io::Result<[Transcript; 3]> {
    let mut ann = Client::enter(addr, "ann", "lobby").await?;
    let mut bob = Client::enter(addr, "bob", "lobby").await?;
    ann.hear().await?; // bob has joined
    let mut cid = Client::enter(addr, "cid", "kitchen").await?;

    ann.send("hello, bob");
    bob.hear().await?;
    bob.send("hello, ann");
    ann.hear().await?;
    cid.send("is nobody here?");
    cid.send("/who");
    cid.hear().await?;

    cid.send("/join lobby");
    cid.hear().await?;
    ann.hear().await?;
    bob.hear().await?;
    cid.send("here you are");
    ann.hear().await?;
    bob.hear().await?;
    ann.send("/who");
    ann.hear().await?;

    bob.send("/quit");
    let bob = bob.finish().await?;
    ann.hear().await?; // bob has left
    cid.hear().await?;

    stop.set();
    let (ann, cid) = try_join!(ann.finish(), cid.finish())?;
    Ok([("ann", ann), ("bob", bob), ("cid", cid)])
}

/// Three clients talk in this process, and it prints what each has seen.
pub(crate) async fn demo() -> io::Result<()> {
    let chat = ChatServer::start("127.0.0.1:0", Limits::default()).await?;
    let (addr, stop) = (chat.addr(), Event::new());
    let serving = async {
        chat.run(stop.wait()).await;
        Ok::<(), io::Error>(())
    };
    let talking = converse(addr, &stop);
    // Where the conversation fails the server is dropped, which has it end in good order.
    let both = async { try_join!(serving, talking) };
    let ((), transcripts) = timeout(Duration::from_secs(20), both).await??;
    for (nick, lines) in transcripts {
        println!("{nick} has seen");
        for line in lines {
            println!("    {line}");
        }
    }
    println!("the server has ended");
    Ok(())
}
