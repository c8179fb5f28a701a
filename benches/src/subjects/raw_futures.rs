//! `raw-futures`: the same calls as `raw-epoll`, from a future a connection: what the least runtime costs that has futures and wakers at all.
//!
//! No timers, no other threads, no cancellation, no fairness, no end of a task.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

pub const NAME: &str = "raw-futures";

struct Connection {
    socket: OwnedFd,
    is_ready: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Connection {
    async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            if self.is_ready.get() {
                match rustix::net::recv(&self.socket, &mut *buf, RecvFlags::empty()) {
                    Ok((n, _)) => {
                        self.is_ready.set(n == buf.len());
                        return Poll::Ready(Ok(n));
                    }
                    Err(rustix::io::Errno::AGAIN) => self.is_ready.set(false),
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Afterwards a read is worth a try too.
    async fn next_event(&self) {
        self.is_ready.set(false);
        poll_fn(|cx| {
            if self.is_ready.get() {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

struct Ready {
    key: usize,
    queue: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue.lock().unwrap().push_back(self.key);
    }
}

/// Serves for ever.
pub fn serve(listener: &TcpListener, buffer: usize) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener.as_fd(), EventData::new_u64(u64::MAX), EventFlags::IN | EventFlags::ET)?;
    let mut events: Vec<epoll::Event> = Vec::with_capacity(1024);
    let (mut connections, mut tasks) = (Vec::new(), Vec::new());
    let queue = Arc::new(Mutex::new(VecDeque::new()));
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let key = event.data.u64();
            if key == u64::MAX {
                for connection in accept(&epoll, listener, connections.len())? {
                    let key = tasks.len();
                    let waker = Waker::from(Arc::new(Ready { key, queue: queue.clone() }));
                    waker.wake_by_ref();
                    tasks.push(Task { future: Box::pin(echo(connection.clone(), buffer)), waker });
                    connections.push(connection);
                }
                continue;
            }
            let connection = &connections[key as usize];
            connection.is_ready.set(true);
            if let Some(waiting) = connection.waiting.take() {
                waiting.wake();
            }
        }
        loop {
            let Some(key) = queue.lock().unwrap().pop_front() else { break };
            let task: &mut Task = &mut tasks[key];
            let _ = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
        }
    }
}

fn accept(epoll: &OwnedFd, listener: &TcpListener, first: usize) -> io::Result<Vec<Rc<Connection>>> {
    let mut accepted = Vec::new();
    while let Ok(socket) = rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(epoll, &socket, EventData::new_u64((first + accepted.len()) as u64), flags)?;
        accepted.push(Rc::new(Connection { socket, is_ready: true.into(), waiting: None.into() }));
    }
    Ok(accepted)
}

async fn echo(connection: Rc<Connection>, buffer: usize) {
    let mut buf = vec![0; buffer];
    while let Ok(n @ 1..) = connection.read(&mut buf).await {
        let mut unsent = &buf[..n];
        while !unsent.is_empty() {
            match rustix::net::send(&connection.socket, unsent, SendFlags::NOSIGNAL) {
                Ok(sent) => unsent = &unsent[sent..],
                Err(rustix::io::Errno::AGAIN) => connection.next_event().await,
                Err(_) => return pending().await,
            }
        }
    }
    pending().await
}
