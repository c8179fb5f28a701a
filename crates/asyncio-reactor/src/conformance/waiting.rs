//! Who waits is woken, once, and nobody else: the laws of `Readiness` and of `Reactor::notify`.

use std::io::{IoSlice, IoSliceMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use asyncio_base::shim::{Arc, AtomicBool, Ordering};
use asyncio_base::{budget, is_loop_closed};

use super::world::{Check, Counter, PATIENCE, World};
use crate::socket::{RecvMsg, SendMsg, Socket};
use crate::waiter::Waiter;

pub(super) const CHECKS: &[Check] = &[
    ("a notify shortens the next turn, and many are one", notify_before),
    ("a notify from another thread ends a turn, and none is lost", notify_from_elsewhere),
    ("a turn waits as long as it is asked, and not longer", waits),
    ("any number of waiters in one direction are all woken", many_waiters),
    ("a dropped waiter leaves nothing behind", dropped_waiter),
    ("the last waker of a waiter counts", replaced_waker),
    ("waiters of the two directions do not wake each other without cause", directions),
    ("a panicking waker does not rob the others", panicking_waker),
    ("an event does not reach the next owner of a place", reuse),
    ("sockets come and go while a waker re-enters", re_entrant_waker),
    ("closing wakes those that wait, and refuses those that come", closing),
    ("a socket made elsewhere binds where it first waits", lazy_binding),
    ("an always-ready socket yields when the budget is spent", cooperates),
];

fn poll_recv(socket: &dyn Socket, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<std::io::Result<usize>> {
    let mut buf = [0; 64];
    let mut bufs = [IoSliceMut::new(&mut buf)];
    socket.poll_recv(cx, waiter, &mut RecvMsg::new(&mut bufs)).map_ok(|received| received.n)
}

fn notify_before(world: &World) {
    let start = Instant::now();
    for _ in 0..1000 {
        world.reactor.notify();
    }
    world.reactor.turn(None).unwrap();
    assert!(start.elapsed() < PATIENCE);
    // Whatever is left of a thousand notifies ends at most a few turns.
    for _ in 0..4 {
        world.reactor.turn(Some(Duration::ZERO)).unwrap();
    }
    let start = Instant::now();
    let wait = Duration::from_millis(10);
    world.reactor.turn(Some(wait)).unwrap();
    assert!(start.elapsed() >= wait, "a notify was kept although its turn had ended");
}

fn notify_from_elsewhere(world: &World) {
    let flag = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2000 {
                while flag.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                flag.store(true, Ordering::Release);
                world.reactor.notify();
            }
        });
        for n in 0..2000 {
            let deadline = Instant::now() + PATIENCE;
            while !flag.load(Ordering::Acquire) {
                assert!(Instant::now() < deadline, "notify {n} was lost");
                world.reactor.turn(Some(PATIENCE)).unwrap();
            }
            flag.store(false, Ordering::Release);
        }
    });
}

fn waits(world: &World) {
    for wait in [Duration::from_nanos(1), Duration::from_micros(1500), Duration::from_millis(3)] {
        let start = Instant::now();
        while start.elapsed() < wait {
            world.reactor.turn(Some(wait.saturating_sub(start.elapsed()))).unwrap();
        }
    }
    world.reactor.notify();
    world.reactor.turn(Some(Duration::MAX)).unwrap();
}

fn many_waiters(world: &World) {
    const COUNT: usize = 100;
    let (client, server) = world.pair();
    let mut waiting: Vec<_> = (0..COUNT).map(|_| (Counter::new(), Waiter::new())).collect();
    for ((_, waker), waiter) in &mut waiting {
        assert!(world.poll(waker, |cx| poll_recv(&*server, cx, waiter)).is_pending());
    }
    world.send_all(&*client, b"x");
    world.turn_until(|| waiting.iter().all(|((counter, _), _)| counter.get() > 0));
    let ready = waiting
        .iter_mut()
        .filter_map(|((_, waker), waiter)| match world.poll(waker, |cx| poll_recv(&*server, cx, waiter)) {
            Poll::Ready(n) => Some(n.unwrap()),
            Poll::Pending => None,
        })
        .sum::<usize>();
    assert_eq!(ready, 1, "one of them has the byte, the others wait again");
    world.send_all(&*client, b"y");
    let still_waiting = |((counter, _), _): &((Arc<Counter>, Waker), Waiter)| counter.get() > 1;
    world.turn_until(|| waiting.iter().filter(|waiting| still_waiting(waiting)).count() >= COUNT - 1);
}

fn dropped_waiter(world: &World) {
    let (client, server) = world.pair();
    let ((first, first_waker), (second, second_waker)) = (Counter::new(), Counter::new());
    let (mut first_waiter, mut second_waiter) = (Waiter::new(), Waiter::new());
    assert!(world.poll(&first_waker, |cx| poll_recv(&*server, cx, &mut first_waiter)).is_pending());
    assert!(world.poll(&second_waker, |cx| poll_recv(&*server, cx, &mut second_waiter)).is_pending());
    drop(first_waiter);
    drop(first_waker);
    assert_eq!(Arc::strong_count(&first), 1, "its waker is dropped with it");
    world.send_all(&*client, b"x");
    world.turn_until(|| second.get() > 0);
    assert_eq!(first.get(), 0);
}

fn replaced_waker(world: &World) {
    let (client, server) = world.pair();
    let ((first, first_waker), (second, second_waker)) = (Counter::new(), Counter::new());
    let mut waiter = Waiter::new();
    assert!(world.poll(&first_waker, |cx| poll_recv(&*server, cx, &mut waiter)).is_pending());
    assert!(world.poll(&second_waker, |cx| poll_recv(&*server, cx, &mut waiter)).is_pending());
    world.send_all(&*client, b"x");
    world.turn_until(|| second.get() > 0);
    assert_eq!(first.get(), 0, "the replaced waker must stay silent");
}

fn directions(world: &World) {
    let (client, server) = world.pair();
    let ((reading, read_waker), (writing, write_waker)) = (Counter::new(), Counter::new());
    let (mut read_waiter, mut write_waiter) = (Waiter::new(), Waiter::new());
    let bytes = vec![0; 1 << 20];
    let bufs = [IoSlice::new(&bytes)];
    let mut send =
        || world.poll(&write_waker, |cx| server.poll_send(cx, &mut write_waiter, &SendMsg::new(&bufs)));
    assert!(world.poll(&read_waker, |cx| poll_recv(&*server, cx, &mut read_waiter)).is_pending());
    // On a network bytes move on to the peer's side after a while, and there is room for more.
    loop {
        writing.reset();
        while let Poll::Ready(sent) = send() {
            sent.unwrap();
        }
        world.turn_in_silence();
        if writing.get() == 0 {
            break;
        }
    }
    reading.reset();
    // The writer's side becomes free when the peer reads: only then may the writer go on.
    let mut drained = vec![0; 1 << 20];
    let deadline = Instant::now() + PATIENCE;
    while writing.get() == 0 {
        assert!(Instant::now() < deadline, "the writer was not woken when room came");
        let mut waiter = Waiter::new();
        let mut bufs = [IoSliceMut::new(&mut drained)];
        let _ =
            world.poll(Waker::noop(), |cx| client.poll_recv(cx, &mut waiter, &mut RecvMsg::new(&mut bufs)));
        world.reactor.turn(Some(Duration::from_millis(1))).unwrap();
    }
    world.poll(&read_waker, |cx| assert!(poll_recv(&*server, cx, &mut read_waiter).is_pending()));
    reading.reset();
    world.send_all(&*client, b"x");
    world.turn_until(|| reading.get() > 0);
}

fn panicking_waker(world: &World) {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of the conformance suite panics on purpose");
        }
    }
    let (client, server) = world.pair();
    let panics = Waker::from(Arc::new(Panics));
    let (counter, waker) = Counter::new();
    let (mut first, mut second) = (Waiter::new(), Waiter::new());
    assert!(world.poll(&panics, |cx| poll_recv(&*server, cx, &mut first)).is_pending());
    assert!(world.poll(&waker, |cx| poll_recv(&*server, cx, &mut second)).is_pending());
    world.send_all_quietly(&*client, b"x");
    let deadline = Instant::now() + PATIENCE;
    while counter.get() == 0 {
        assert!(Instant::now() < deadline, "the other waiter was robbed");
        let _ = catch_unwind(AssertUnwindSafe(|| world.reactor.turn(Some(Duration::from_millis(20)))));
    }
}

fn reuse(world: &World) {
    for _ in 0..50 {
        let (client, server) = world.pair();
        let mut waiter = Waiter::new();
        assert!(world.poll(Waker::noop(), |cx| poll_recv(&*server, cx, &mut waiter)).is_pending());
        world.send_all_quietly(&*client, b"stale");
        // The event is on its way; its owner goes.
        drop((waiter, server, client));
        let (client, server) = world.pair();
        let (counter, waker) = Counter::new();
        let mut waiter = Waiter::new();
        assert!(world.poll(&waker, |cx| poll_recv(&*server, cx, &mut waiter)).is_pending());
        world.reactor.turn(Some(Duration::ZERO)).unwrap();
        assert!(world.poll(&waker, |cx| poll_recv(&*server, cx, &mut waiter)).is_pending());
        counter.reset();
        drop(client);
        world.turn_until(|| counter.get() > 0);
    }
}

fn re_entrant_waker(world: &World) {
    /// Drops the neighbour's socket and notifies, from inside a wake.
    struct Drops(asyncio_base::shim::Mutex<Option<Arc<dyn Socket>>>, Arc<dyn crate::Reactor>);
    impl Wake for Drops {
        fn wake(self: Arc<Self>) {
            let neighbour = self.0.lock().take();
            drop(neighbour);
            self.1.notify();
        }
    }
    let (client_a, server_a) = world.pair();
    let (client_b, server_b) = world.pair();
    let (mut waiter_a, mut waiter_b) = (Waiter::new(), Waiter::new());
    assert!(world.poll(Waker::noop(), |cx| poll_recv(&*server_b, cx, &mut waiter_b)).is_pending());
    drop(waiter_b);
    let neighbour = asyncio_base::shim::Mutex::new(Some(server_b));
    let drops = Arc::new(Drops(neighbour, world.reactor.clone()));
    assert!(
        world.poll(&Waker::from(drops.clone()), |cx| poll_recv(&*server_a, cx, &mut waiter_a)).is_pending()
    );
    world.send_all_quietly(&*client_b, b"b");
    world.send_all_quietly(&*client_a, b"a");
    world.turn_until(|| drops.0.lock().is_none());
    assert_eq!(world.recv_exactly(&*server_a, 1), b"a");
}

fn closing(world: &World) {
    let (_client, server) = world.pair();
    let (counter, waker) = Counter::new();
    let mut waiter = Waiter::new();
    assert!(world.poll(&waker, |cx| poll_recv(&*server, cx, &mut waiter)).is_pending());
    world.reactor.close();
    assert!(counter.get() > 0, "closing wakes those that wait");
    for _ in 0..2 {
        match world.poll(&waker, |cx| poll_recv(&*server, cx, &mut waiter)) {
            Poll::Ready(Err(error)) => assert!(is_loop_closed(&error), "not `LoopClosed`: {error}"),
            other => panic!("an operation on a closed reactor gave {other:?}"),
        }
    }
    drop(server);
    world.reactor.close();
}

fn lazy_binding(world: &World) {
    let (listener, addr) = world.listener();
    let made = std::thread::spawn(move || listener).join().unwrap();
    let (counter, waker) = Counter::new();
    let mut waiter = Waiter::new();
    assert!(world.poll(&waker, |cx| made.poll_accept(cx, &mut waiter).map(drop)).is_pending());
    let client = world.socket();
    world.run(client.connect(&addr)).unwrap();
    world.turn_until(|| counter.get() > 0);
    assert!(world.poll(&waker, |cx| made.poll_accept(cx, &mut waiter).map(drop)).is_ready());
}

fn cooperates(world: &World) {
    let (client, server) = world.pair();
    world.send_all(&*client, &[7; 10]);
    let (counter, waker) = Counter::new();
    world.run(async {
        let mut buf = [0; 1];
        server.recv(&mut buf).await.unwrap();
    });
    let mut buf = [0; 1];
    budget::with_budget(3, || {
        for expected_ready in [true, true, true, false] {
            let mut bufs = [IoSliceMut::new(&mut buf)];
            let mut waiter = Waiter::new();
            let poll =
                world.poll(&waker, |cx| server.poll_recv(cx, &mut waiter, &mut RecvMsg::new(&mut bufs)));
            assert_eq!(poll.is_ready(), expected_ready);
        }
    });
    assert!(counter.get() > 0, "an operation that yields has woken its task");
}

impl World {
    /// Sends a few bytes without turning the reactor: they fit into the socket's buffer.
    fn send_all_quietly(&self, socket: &dyn Socket, bytes: &[u8]) {
        let mut waiter = Waiter::new();
        let bufs = [IoSlice::new(bytes)];
        match self.poll(Waker::noop(), |cx| socket.poll_send(cx, &mut waiter, &SendMsg::new(&bufs))) {
            Poll::Ready(Ok(n)) => assert_eq!(n, bytes.len()),
            other => panic!("a few bytes do not fit: {other:?}"),
        }
    }
}
