//! The part of the contract that is built, word for word: the public face of `asyncio`, with the types that a user sees.
//!
//! Nothing here needs to be run; that it compiles is the test. The line below is the contract's own, and has its reason in that:
//! what is only compiled is not used.
#![allow(dead_code, unused_variables, unused_mut, clippy::all)]
#![allow(dropping_copy_types, reason = "the contract drops a number to say that it has it")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio::AsyncClose;
use futures_core::Stream;
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};

type BoxError = Box<dyn Error + Send + Sync>;
const MS: Duration = Duration::from_millis(1);

// ------------------------------------------------------------------ core: running

fn running() -> io::Result<()> {
    let text = String::from("main may borrow");
    let length: usize = asyncio::run(async { text.len() });

    let mut runner: asyncio::Runner = asyncio::Runner::new()?;
    let one: u32 = runner.run(async { 1 });
    let two: u32 = runner.run(async { 2 }); // the same loop again
    let event_loop: asyncio::EventLoop = runner.event_loop();
    let woke: bool = runner.turn(Some(Duration::ZERO))?; // guest mode
    let deadline: Option<Instant> = runner.next_deadline();
    #[cfg(unix)]
    let fd: std::os::fd::BorrowedFd<'_> = std::os::fd::AsFd::as_fd(&runner);
    runner.close();
    Ok(())
}

fn swapping() -> io::Result<()> {
    use asyncio::reactor::{PollingSelector, SelectorReactor};
    let clock = asyncio::timers::ManualClock::new();
    let mut runner = asyncio::Runner::builder()
        .reactor(|worker: usize| SelectorReactor::new(PollingSelector::new()?)) // one a worker
        .clock(clock.clone())
        .schedule(asyncio::executor::SeededRandom::new(42))
        .build()?;
    clock.advance(Duration::from_secs(3600));
    runner.run(async {});
    Ok(())
}

async fn core() -> Result<(), BoxError> {
    let local: asyncio::Task<Rc<u32>> = asyncio::spawn_local(async { Rc::new(1) });
    let anywhere: asyncio::Task<u32> = asyncio::spawn(async { 2 });
    let two: Result<u32, asyncio::TaskError> = anywhere.await;
    asyncio::yield_now().await;
    asyncio::sleep(MS).await;
    asyncio::sleep_until(Instant::now() + MS).await;
    let mut ticks: asyncio::Interval = asyncio::interval(MS);
    ticks.set_missed_tick(asyncio::MissedTick::Skip);
    let at: Instant = ticks.tick().await;
    let value: Result<u32, asyncio::TimedOut> = asyncio::timeout(MS, async { 3 }).await;
    let value = asyncio::timeout_at(Instant::now() + MS, async { 3 }).await;
    drop(local); // detaches: the task goes on

    let listener = asyncio::net::TcpListener::bind("127.0.0.1:0").await?;
    let addr: SocketAddr = listener.local_addr()?;
    let mut stream = asyncio::net::TcpStream::connect(addr).await?;
    let (mut peer, from): (asyncio::net::TcpStream, SocketAddr) = listener.accept().await?;
    stream.write_all(b"ping").await?; // futures_io traits
    let mut buf = [0; 4];
    peer.read_exact(&mut buf).await?;
    let (mut reader, mut writer) = peer.into_split(); // owned halves
    let addrs: Vec<SocketAddr> = asyncio::net::lookup_host("localhost:80").await?;
    Ok(())
}

#[asyncio::test]
async fn a_test() -> Result<(), BoxError> {
    Ok(())
}

// ------------------------------------------------------------------ breadth

#[asyncio::test(workers = 2)]
async fn breadth() -> Result<(), BoxError> {
    let udp = asyncio::net::UdpSocket::bind("127.0.0.1:0").await?;
    let n: usize = udp.send_to(b"x", udp.local_addr()?).await?;
    let mut buf = [0; 16];
    let (n, from): (usize, SocketAddr) = udp.recv_from(&mut buf).await?;
    #[cfg(unix)]
    {
        let (a, b) = asyncio::net::UnixStream::pair()?;
        let readiness = asyncio::net::Readiness::new(std::os::unix::net::UnixStream::pair()?.0)?; // any descriptor
        let ready: io::Result<()> = readiness.readable().await;
    }
    let event_loop = asyncio::EventLoop::current()?;
    let task: asyncio::Task<u8> = event_loop.spawn(async { 1 })?; // from any thread, onto this loop
    Ok(())
}

// ------------------------------------------------------------------ structure

fn runner_in_full() -> io::Result<()> {
    let mut runner = asyncio::Runner::builder()
        .workers(2)
        .debug(true)
        .metrics(true)
        .slow_poll_threshold(100 * MS)
        .cleanup_grace(Duration::from_secs(10))
        .blocking_threads_max(32)
        .thread_name("io")
        .ctrl_c(true)
        .on_unhandled(|event: &asyncio::Unhandled| eprintln!("{event}")) // message, task, place, error or panic
        .build()?;
    let out: Result<u32, asyncio::Interrupted> = runner.run_interruptible(async { 1 });
    runner.run_forever(); // until event_loop.stop()
    Ok(())
}

async fn callbacks() -> Result<(), BoxError> {
    let event_loop = asyncio::EventLoop::current()?;
    let soon: asyncio::CallHandle = event_loop.call_soon(|| ())?;
    let later = event_loop.call_later(5 * MS, || ())?;
    let at = event_loop.call_at(event_loop.time() + MS, || ())?;
    soon.cancel();
    let (cancelled, when): (bool, Option<Instant>) = (later.is_cancelled(), at.when());
    std::thread::spawn({
        let event_loop = event_loop.clone();
        move || event_loop.call_soon_threadsafe(|| ())
    });
    event_loop.set_exception_handler(|event| eprintln!("{event}"));
    event_loop.stop();
    Ok(())
}

async fn tasks() -> Result<(), BoxError> {
    let task: asyncio::Task<u32> =
        asyncio::task::Builder::new().name("worker").eager(true).spawn_local(async { 1 });
    let (id, done, cancelled): (asyncio::TaskId, bool, bool) =
        (task.id(), task.is_finished(), task.is_cancelled());
    task.on_done(|result: Result<&u32, &asyncio::TaskError>| ());
    let asked: bool = task.cancel();
    let asked: bool = task.cancel_because("shutting down");
    match task.await {
        Ok(value) => drop(value),
        Err(e) if e.is_cancelled() => drop(e.reason().map(str::to_owned)),
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
    let shared = asyncio::spawn(async { 1 }).shared(); // Clone + Future
    let (a, b) = asyncio::join!(shared.clone(), shared);
    let (setter, completion) = asyncio::completion::<u32, BoxError>(); // asyncio's Future; errors come in an Arc
    completion.on_done(|result| ());
    setter.set(1);
    let value: Result<u32, asyncio::CompletionError<BoxError>> = completion.clone().await;
    let me: asyncio::TaskInfo = asyncio::current_task().ok_or("not in a task")?;
    let (name, place, polls) = (me.name(), me.spawned_at(), me.polls());
    let all: Vec<asyncio::TaskInfo> = asyncio::all_tasks();
    Ok(())
}

async fn groups() -> Result<(), BoxError> {
    let sum: Result<u32, asyncio::GroupError<io::Error>> = asyncio::task_group(async |group| {
        let a: asyncio::Task<u32> = group.spawn(async { Ok(1) });
        let b: asyncio::Task<u32> = group.spawn_local(async { Ok(2) });
        let port: u16 = group
            .start(async |ready: asyncio::Ready<u16>| {
                ready.set(8080);
                Ok(())
            })
            .await?;
        Ok(a.await.unwrap_or(0) + b.await.unwrap_or(0)) // a child's error is in the group's error
    })
    .await;
    if let Err(e) = &sum {
        let all: &[io::Error] = e.errors(); // in the order of failure
    }
    asyncio::TaskGroup::builder()
        .limit(8)
        .on_error(asyncio::OnError::KeepGoing) // a supervisor
        .run(async |group| {
            group.spawn_when_free(async { Ok::<_, BoxError>(()) }).await;
            group.cancel(); // ends it without an error
            Ok(())
        })
        .await?;

    let words = vec![String::from("borrowed")];
    let length: usize = asyncio::scope(async |s| {
        let child = s.spawn(async { words.len() }); // borrows; Send
        child.await
    })
    .await;
    let count = std::cell::Cell::new(0);
    asyncio::scope_local(async |s| {
        s.spawn(async { count.set(1) }); // borrows, and need not be Send
    })
    .await;
    let anywhere: asyncio::Task<u32> = asyncio::spawn(async {
        let words = vec![String::from("a scope inside a task that may move")];
        asyncio::scope(async |s| s.spawn(async { words.len() as u32 }).await).await
    });
    let pinned: asyncio::Task<u32> = asyncio::spawn_pinned(0, || async { *Rc::new(1) })?; // made on worker 0
    Ok(())
}

async fn scopes() -> Result<(), BoxError> {
    let out: Result<u32, asyncio::Cancelled> = asyncio::cancel_scope(async |scope| {
        let handle: asyncio::CancelHandle = scope.handle(); // Clone + Send
        handle.cancel();
        asyncio::sleep(MS).await;
        1
    })
    .await;
    let out: Result<u32, asyncio::TimedOut> = asyncio::timeout_scope(Some(Instant::now() + MS), async |t| {
        t.reschedule(None);
        let (deadline, expired): (Option<Instant>, bool) = (t.deadline(), t.has_expired());
        1
    })
    .await;
    let out: Option<u32> = asyncio::move_on_after(MS, async { 1 }).await;
    let out: u32 = asyncio::shield(async { 1 }).await;
    let first: u32 = asyncio::race!(async { 1 }, async { 2 });
    let (a, b): (u32, &str) = asyncio::join!(async { 1 }, async { "b" });
    let both: Result<(u32, u32), io::Error> = asyncio::try_join!(async { Ok(1) }, async { Ok(2) });
    let values: Result<Vec<u32>, io::Error> = asyncio::gather((0..3).map(|n| async move { Ok(n) })).await;
    let values: Vec<u32> = asyncio::gather_all((0..3).map(|n| async move { n })).await;
    let ok: Result<u32, Vec<io::Error>> = asyncio::first_ok((0..3).map(|n| async move { Ok(n) })).await;
    let tasks: Vec<asyncio::Task<u32>> = (0..3).map(|n| asyncio::spawn(async move { n })).collect();
    let (done, pending) = asyncio::wait(tasks, asyncio::WaitFor::First, Some(MS)).await;
    let mut finished = std::pin::pin!(asyncio::as_completed((0..3).map(|n| async move { n })));
    while let Some(n) = finished.next().await {}
    Ok(())
}

struct Connection;
// trait AsyncClose { fn close(self) -> impl Future<Output = ()> + Send; }
impl AsyncClose for Connection {
    async fn close(self) {}
}

async fn clean_up() -> Result<(), BoxError> {
    let connection: asyncio::Guard<Connection> = asyncio::guard(Connection, |c| c.close()); // Deref
    connection.finish().await; // closes now; dropped instead, it is closed before the scope ends
    let kept: Connection = asyncio::guard(Connection, |c| c.close()).into_inner(); // will not be closed
    asyncio::defer(async { asyncio::sleep(MS).await });
    let n: u32 = asyncio::with(Connection, async |c: &mut Connection| 1).await; // asyncio's `async with`
    Ok(())
}

asyncio::task_local! { static REQUEST: u64; }

async fn contexts() -> Result<(), BoxError> {
    let id: u64 = REQUEST.scope(7, async { REQUEST.get() }).await;
    let context: asyncio::Context = asyncio::Context::capture();
    let n: u32 = context.run(|| 1);
    let n: Result<u32, asyncio::TaskError> = asyncio::to_thread(|| 1).await; // the context goes along
    Ok(())
}

fn from_blocking_code() -> io::Result<()> {
    let portal: asyncio::Portal = asyncio::Portal::start()?; // a loop on its own thread; EventLoop::portal() for a running one
    let n: Result<u32, asyncio::TaskError> = portal.call(async { 1 });
    Ok(())
}

fn numbers() -> impl Stream<Item = u32> {
    asyncio::stream! { for n in 0..3 { asyncio::sleep(MS).await; yield n; } }
}

// ------------------------------------------------------------------ synchronisation

async fn sync() -> Result<(), BoxError> {
    use asyncio::sync::*;
    let mutex = Mutex::new(1);
    {
        let mut guard: MutexGuard<'_, i32> = mutex.lock().await;
        *guard += 1;
    }
    let owned: OwnedMutexGuard<i32> = std::sync::Arc::new(Mutex::new(1)).lock_owned().await;
    let rw = RwLock::new(1);
    {
        let r = rw.read().await;
    }
    {
        let w = rw.write().await;
        let r = w.downgrade();
    }
    let event = Event::new();
    event.set();
    event.wait().await;
    event.clear();
    let condition = Condition::new(0);
    {
        let mut guard = condition.lock().await;
        guard.wait_for(|n| *n == 0).await;
        guard.notify(1);
        guard.notify_all();
    }
    let semaphore = Semaphore::new(3);
    let permit: Permit<'_> = semaphore.acquire().await?;
    let two = semaphore.acquire_many(2).await?;
    let none: Result<Permit<'_>, TryAcquireError> = semaphore.try_acquire();
    let bounded = Semaphore::bounded(3);
    let over: Result<(), OverRelease> = bounded.add_permits(1);
    let barrier = Barrier::new(1);
    let turn: Result<usize, BrokenBarrier> = barrier.wait().await;
    let cell: OnceCell<u32> = OnceCell::new();
    let value: &u32 = cell.get_or_init(async || 1).await;

    let (sender, receiver) = oneshot::<u32>();
    let sent: Result<(), u32> = sender.send(1); // the value comes back if nobody waits
    let got: Result<u32, RecvError> = receiver.await;

    let queue: Queue<u32> = Queue::new(10); // also LifoQueue, PriorityQueue; Queue::unbounded()
    queue.put(1).await.map_err(|e| format!("{e}"))?; // PutError<T> gives the item back
    let item: u32 = queue.get().await?;
    queue.task_done();
    queue.join().await;
    queue.shutdown(Shutdown::AfterDrain);

    let (tx, rx) = channel::<u32>(16); // both Clone; unbounded_channel(), rendezvous()
    tx.send(1).await.map_err(|e| e.into_inner()).ok();
    tx.try_send(2).ok();
    let n: u32 = rx.recv().await?;
    let n: Result<u32, TryRecvError> = rx.try_recv();
    let slot = tx.reserve().await?;
    slot.send(3);
    let (tx, mut rx) = broadcast::<u32>(16);
    let n: Result<u32, BroadcastError> = rx.recv().await; // Lagged(n) or Closed
    let (tx, mut rx) = watch(0);
    tx.send(1)?;
    rx.changed().await?;
    let now: u32 = *rx.borrow();
    Ok(())
}

// ------------------------------------------------------------------ network

struct Echo {
    transport: Option<asyncio::net::protocol::Transport>,
}

impl asyncio::net::protocol::Protocol for Echo {
    fn connection_made(&mut self, transport: asyncio::net::protocol::Transport) {
        self.transport = Some(transport);
    }
    fn data_received(&mut self, data: &[u8]) {
        self.transport.as_ref().map(|t| t.write(data));
    }
    fn eof_received(&mut self) -> asyncio::net::protocol::OnEof {
        asyncio::net::protocol::OnEof::Close
    }
    fn connection_lost(&mut self, error: Option<io::Error>) {}
    fn pause_writing(&mut self) {}
    fn resume_writing(&mut self) {}
}

async fn network() -> Result<(), BoxError> {
    use asyncio::net::protocol::{create_connection, create_server};
    let server: asyncio::net::Server = create_server(|| Echo { transport: None }, "127.0.0.1:0").await?;
    let addrs: Vec<SocketAddr> = server.local_addrs();
    let (transport, protocol) = create_connection(|| Echo { transport: None }, addrs[0]).await?;
    transport.set_write_buffer_limits(64 * 1024, 16 * 1024);
    transport.write(b"hello");
    transport.close();
    server.close();
    server.wait_closed().await;

    let greeting = Rc::new(String::from("state is captured and shared"));
    let server = asyncio::net::start_server(
        move |mut reader: asyncio::net::StreamReader, mut writer: asyncio::net::StreamWriter| {
            let greeting = greeting.clone();
            async move {
                writer.write(greeting.as_bytes());
                while let Some(line) = reader.read_line().await? {
                    writer.write(&line);
                    writer.drain().await?;
                }
                writer.close().await
            }
        },
        "127.0.0.1:0",
    )
    .await?;
    let (mut reader, mut writer) = asyncio::net::open_connection(server.local_addrs()[0]).await?;
    writer.write(b"a line\n");
    writer.drain().await?;
    let line: Vec<u8> = reader.read_until(b"\n").await?; // ReadError::{Incomplete { partial }, LimitOverrun { .. }, Io}
    let four: Vec<u8> = reader.read_exact(4).await?;
    writer.close().await?;
    server.serve_forever().await?;
    Ok(())
}

// ------------------------------------------------------------------ outside

async fn outside() -> Result<(), BoxError> {
    let pool = asyncio::blocking::ThreadPool::builder().threads_max(4).name("cpu").build();
    let n: Result<u32, asyncio::TaskError> = pool.run(|| 1).await;
    let mut child: asyncio::process::Child = asyncio::process::Command::new("tr")
        .args(["a-z", "A-Z"])
        .stdin(asyncio::process::Stdio::piped())
        .stdout(asyncio::process::Stdio::piped())
        .spawn()?;
    let output: asyncio::process::Output = child.communicate(b"text").await?;
    let status = asyncio::process::Command::shell("exit 3").status().await?;
    asyncio::signal::ctrl_c().await?;
    let mut hangups = asyncio::signal::unix::signal(asyncio::signal::unix::SignalKind::hangup())?;
    hangups.recv().await;
    let mut line = String::new();
    let text: Vec<u8> = asyncio::fs::read("Cargo.toml").await?;
    Ok(())
}
