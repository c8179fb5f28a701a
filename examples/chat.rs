//! A chat room in which a slow reader holds nobody: each guest has a bounded queue, and who lets it fill is shown out.
//!
//! `cargo run --release --example chat`

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use asyncio::net::{TcpListener, TcpStream};
use futures_lite::io::{AsyncBufReadExt, BufReader};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// How many lines may wait for one guest.
const QUEUE_MAX: usize = 1000;

#[derive(Default)]
struct Guest {
    lines: VecDeque<Rc<str>>,
    waker: Option<Waker>,
    is_gone: bool,
}

type Room = Rc<RefCell<BTreeMap<u32, Rc<RefCell<Guest>>>>>;

fn say(room: &Room, from: u32, line: &str) {
    let line: Rc<str> = format!("{from}: {line}\n").into();
    let mut wakers = Vec::new();
    room.borrow_mut().retain(|_, guest| {
        let mut guest = guest.borrow_mut();
        guest.lines.push_back(line.clone());
        guest.is_gone |= guest.lines.len() > QUEUE_MAX;
        wakers.extend(guest.waker.take());
        !guest.is_gone
    });
    wakers.into_iter().for_each(Waker::wake);
}

/// The next line for a guest; `None` once it was shown out.
async fn next_line(guest: &RefCell<Guest>) -> Option<Rc<str>> {
    poll_fn(|cx| {
        let mut guest = guest.borrow_mut();
        if guest.is_gone {
            return Poll::Ready(None);
        }
        guest.waker = Some(cx.waker().clone());
        guest.lines.pop_front().map_or(Poll::Pending, |line| Poll::Ready(Some(line)))
    })
    .await
}

async fn attend(room: Room, number: u32, stream: TcpStream) -> io::Result<()> {
    let guest = Rc::new(RefCell::new(Guest::default()));
    room.borrow_mut().insert(number, guest.clone());
    let (reader, mut writer) = stream.into_split();
    let listening = async {
        while let Some(line) = next_line(&guest).await {
            writer.write_all(line.as_bytes()).await?;
        }
        Ok(())
    };
    let talking = async {
        let mut reader = BufReader::new(reader);
        let mut line = String::new();
        while reader.read_line(&mut line).await? > 0 {
            say(&room, number, line.trim_end());
            line.clear();
        }
        Ok(())
    };
    let result = futures_lite::future::or(talking, listening).await;
    room.borrow_mut().remove(&number);
    result
}

async fn open(room: Room) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    asyncio::spawn_local(async move {
        for number in 1.. {
            let Ok((stream, _)) = listener.accept().await else { break };
            asyncio::spawn_local(attend(room.clone(), number, stream)).detach();
        }
    })
    .detach();
    Ok(addr)
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let room = Room::default();
    let addr = open(room.clone()).await?;
    let mut quick = BufReader::new(TcpStream::connect(addr).await?);
    let mut slow = TcpStream::connect(addr).await?; // reads nothing until the end
    let mut speaker = TcpStream::connect(addr).await?;
    while room.borrow().len() < 3 {
        asyncio::yield_now().await;
    }
    let line = "x".repeat(8000);
    let mut heard = String::new();
    for said in 0..3000 {
        speaker.write_all(format!("{line}\n").as_bytes()).await?;
        heard.clear();
        asyncio::timeout(Duration::from_secs(20), quick.read_line(&mut heard)).await??;
        assert_eq!(heard.len(), line.len() + "3: \n".len(), "line {said}");
        // The speaker hears itself too, and listens.
        speaker.read_exact(&mut vec![0; heard.len()]).await?;
    }
    assert_eq!(room.borrow().len(), 2, "who let the queue fill was shown out");
    let mut rest = Vec::new();
    asyncio::timeout(Duration::from_secs(20), slow.read_to_end(&mut rest)).await??;
    println!("the quick one heard 3000 lines while the slow one had {} KiB waiting", rest.len() / 1024);
    assert!(rest.len() < 3000 * line.len());
    Ok(())
}
