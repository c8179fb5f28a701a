//! A transaction that owns its pooled connection is rolled back over the wire when its task is cancelled, and the connection goes back to the
//! pool: clean-up that awaits, and that nobody forgets.
//!
//! `cargo run --release --example async_cleanup`

#![allow(clippy::unwrap_used, reason = "an example that fails says where")]

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio::net::{TcpListener, TcpStream};
use asyncio::{AsyncClose, sleep, spawn, spawn_local, with};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

#[derive(Clone, Default)]
struct Database {
    /// What it has been told: `B`egin, `I`nsert, `C`ommit, `R`ollback.
    journal: Arc<Mutex<String>>,
    /// An insert takes long.
    is_slow: Arc<AtomicBool>,
}

/// Answers each letter with `k`.
async fn serve(listener: TcpListener, database: Database) -> io::Result<()> {
    loop {
        let (mut peer, _) = listener.accept().await?;
        let database = database.clone();
        spawn(async move {
            let mut letter = [0];
            while peer.read_exact(&mut letter).await.is_ok() {
                database.journal.lock().unwrap().push(char::from(letter[0]));
                while letter == *b"I" && database.is_slow.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(1)).await;
                }
                let _ = peer.write_all(b"k").await;
            }
        })
        .detach();
    }
}

type Pool = Arc<Mutex<Vec<TcpStream>>>;

struct Transaction {
    connection: TcpStream,
    pool: Pool,
    /// What was said last, and whether it was answered.
    last: (u8, bool),
}

impl Transaction {
    async fn begin(pool: &Pool, addr: SocketAddr) -> io::Result<Self> {
        let pooled = pool.lock().unwrap().pop();
        let connection = if let Some(pooled) = pooled { pooled } else { TcpStream::connect(addr).await? };
        let mut this = Self { connection, pool: pool.clone(), last: (0, true) };
        this.say(b"B").await?;
        Ok(this)
    }

    async fn say(&mut self, letter: &[u8; 1]) -> io::Result<()> {
        self.last = (letter[0], false);
        self.connection.write_all(letter).await?;
        self.hear().await
    }

    async fn hear(&mut self) -> io::Result<()> {
        self.connection.read_exact(&mut [0]).await?;
        self.last.1 = true;
        Ok(())
    }
}

impl AsyncClose for Transaction {
    async fn close(mut self) {
        // The cancellation came while an answer was under way: it is read first, so that the connection is at a boundary.
        if (self.last.1 || self.hear().await.is_ok()) && (self.last.0 == b'C' || self.say(b"R").await.is_ok())
        {
            self.pool.lock().unwrap().push(self.connection);
        }
    }
}

async fn insert(pool: Pool, addr: SocketAddr) -> io::Result<()> {
    let transaction = Transaction::begin(&pool, addr).await?;
    with(transaction, async |transaction: &mut Transaction| {
        transaction.say(b"I").await?;
        transaction.say(b"C").await
    })
    .await
}
#[asyncio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let database = Database::default();
    spawn(serve(listener, database.clone())).detach();
    let pool = Pool::default();

    insert(pool.clone(), addr).await?;
    assert_eq!(std::mem::take(&mut *database.journal.lock().unwrap()), "BIC");

    database.is_slow.store(true, Ordering::Relaxed);
    let task = spawn_local(insert(pool.clone(), addr));
    while *database.journal.lock().unwrap() != "BI" {
        sleep(Duration::from_millis(1)).await;
    }
    task.cancel_because("the client went away");
    database.is_slow.store(false, Ordering::Relaxed);
    let error = task.await.unwrap_err();
    let told = database.journal.lock().unwrap();
    println!("{error}; the database was told {told:?}");
    assert_eq!(*told, "BIR", "rolled back, before the task had ended");
    assert_eq!(pool.lock().unwrap().len(), 1, "the connection is back");
    Ok(())
}
