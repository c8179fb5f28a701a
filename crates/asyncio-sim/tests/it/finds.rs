//! What a simulation finds: each fault of a program by its kind, with the place where it is.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio_net::{TcpListener, TcpStream, UdpSocket};
use asyncio_sim::{Builder, Explorer, Failure, FailureKind, Latency, Link, Sim};
use asyncio_sync::{Event, Mutex};
use asyncio_tasks::{spawn_local, timeout, yield_now};
use asyncio_timers::{now, sleep};
use futures_lite::AsyncReadExt;

fn run<F: Future<Output = ()> + 'static>(main: impl FnMut() -> F + 'static) -> Box<Failure> {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", main);
    sim.run().unwrap_err()
}

/// Something that never stops, as a heartbeat does.
fn heart() -> asyncio_tasks::Task<()> {
    spawn_local(async {
        loop {
            sleep(Duration::from_secs(1)).await;
        }
    })
}

#[test]
fn a_panic_and_an_error_with_the_place() {
    let failure = run(|| async { panic!("a bug") });
    assert_eq!(failure.kind, FailureKind::Panic);
    assert!(failure.message.contains("finds.rs") && failure.message.contains("a bug"), "{failure}");
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async { Err::<(), _>("no luck") });
    let failure = sim.run().unwrap_err();
    assert_eq!((failure.kind, failure.host.as_deref()), (FailureKind::Error, Some("client")));
}

#[test]
fn a_panic_of_what_was_planned_or_of_what_makes_a_main() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || sleep(Duration::from_secs(10)));
    sim.at(Duration::from_secs(1), |_| panic!("planned"));
    let failure = sim.run().unwrap_err();
    assert_eq!((failure.kind, failure.at.as_secs()), (FailureKind::Panic, 1));
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || -> std::future::Ready<()> { panic!("no main") });
    let failure = sim.run().unwrap_err();
    assert!(failure.kind == FailureKind::Panic && failure.message.contains("no main"), "{failure}");
}

#[test]
fn readers_of_one_lock_and_two_branches_of_one_task_are_no_circle() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async {
        let lock = Rc::new(asyncio_sync::RwLock::new(()));
        let reading = lock.clone();
        let first = lock.read().await;
        let other = spawn_local(async move {
            drop(reading.read().await);
            drop(reading.write().await);
        });
        sleep(Duration::from_secs(1)).await;
        drop(first);
        other.await.unwrap();
        let lock = Mutex::new(());
        let holding = async {
            let _guard = lock.lock().await;
            sleep(Duration::from_secs(1)).await;
        };
        let waiting = async { drop(lock.lock().await) };
        asyncio_tasks::join!(holding, waiting);
    });
    sim.run().unwrap();
}

#[test]
fn a_panic_that_nobody_reads() {
    let failure = run(|| async {
        spawn_local(async { panic!("unread") }).detach();
        sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(failure.kind, FailureKind::Panic);
    assert!(failure.message.contains("unread"), "{failure}");
}

#[test]
fn a_deadlock_names_who_waits_for_what() {
    let failure = run(|| async { Event::new().wait().await });
    assert_eq!(failure.kind, FailureKind::Deadlock);
    assert!(failure.details.contains("event") && failure.details.contains("main"), "{failure}");
}

#[test]
fn a_lost_wake_behind_a_heartbeat_is_a_stall() {
    let failure = run(|| async {
        let _heart = heart();
        pending::<()>().await;
    });
    assert_eq!(failure.kind, FailureKind::Stall);
    assert_eq!(failure.at.as_secs(), 600);
}

#[test]
fn a_long_sleep_is_no_stall() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async {
        let _heart = heart();
        sleep(Duration::from_secs(1800)).await;
        let sleeping = spawn_local(sleep(Duration::from_secs(1700)));
        sleeping.await.unwrap();
    });
    sim.run().unwrap();
}

#[test]
fn two_locks_in_two_orders_at_once_whatever_else_goes_on() {
    let failure = run(|| async {
        let _heart = heart();
        let locks = Rc::new((Mutex::new(()), Mutex::new(())));
        let other = locks.clone();
        let task = spawn_local(async move {
            let _b = other.1.lock().await;
            sleep(Duration::from_secs(1)).await;
            let _a = other.0.lock().await;
        });
        let _a = locks.0.lock().await;
        sleep(Duration::from_secs(1)).await;
        let _b = locks.1.lock().await;
        task.await.unwrap();
    });
    assert_eq!(failure.kind, FailureKind::LockCycle);
    assert!(failure.message.matches("finds.rs").count() >= 3, "{failure}");
    assert!(failure.at < Duration::from_secs(2));
}

#[test]
fn one_that_wakes_itself_for_ever_is_a_livelock() {
    let failure = run(|| async {
        loop {
            yield_now().await;
        }
    });
    assert_eq!(failure.kind, FailureKind::Livelock);
}

#[test]
fn one_that_does_not_come_to_its_end_has_a_limit() {
    let sim = Sim::builder().time_limit(Duration::from_secs(100)).build();
    sim.client("client", "10.0.0.1", || async { heart().await.unwrap() });
    let failure = sim.run().unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimeLimit);
    assert!(failure.details.contains("sleep"), "{failure}");
}

#[test]
fn a_socket_that_is_kept_for_ever_is_a_leak() {
    let failure = run(|| async {
        let listener = TcpListener::bind("0.0.0.0:1").await.unwrap();
        std::mem::forget(listener);
    });
    assert_eq!(failure.kind, FailureKind::Leak);
    assert!(failure.message.contains("listener") && failure.message.contains("0.0.0.0:1"), "{failure}");
}

#[test]
fn clean_up_that_does_not_end_outlives_its_host() {
    let failure = run(|| async {
        let _guard = asyncio_tasks::guard((), |()| pending::<()>());
        asyncio_tasks::defer(pending::<()>());
    });
    assert_eq!(failure.kind, FailureKind::Undead, "{failure}");
}

#[test]
fn one_that_others_overtake_again_and_again_is_starved() {
    /// Takes a lock whenever it is free, and never lets anybody else in: what a fair lock prevents.
    struct Barging(RefCell<bool>);
    let failure = run(|| async {
        let lock = Rc::new(Mutex::new(Barging(RefCell::new(false))));
        let guard = lock.lock().await;
        let waiting = lock.clone();
        let task = spawn_local(async move { drop(waiting.lock().await) });
        *guard.0.borrow_mut() = true;
        drop(guard);
        task.await.unwrap();
        // Ours are fair: only a lock of somebody else's could do it, so say what it would say.
        let (door, id) = (0_u8, asyncio_base::lock_watch::LockId::of(&lock));
        let here = std::panic::Location::caller();
        let wait = asyncio_base::lock_watch::WaitId::of(&door);
        spawn_local(async move { asyncio_base::lock_watch::waits(wait, id, here) }).await.unwrap();
        for _ in 0..200_000 {
            asyncio_base::lock_watch::taken(id, here);
            asyncio_base::lock_watch::released(id);
        }
    });
    assert_eq!(failure.kind, FailureKind::Starvation, "{failure}");
}

#[test]
fn a_failure_is_replayed_from_its_script() {
    let sim = |builder: asyncio_sim::Builder| {
        let sim = builder.build();
        sim.host("server", "10.0.0.1", crate::worlds::echo_server);
        sim.client("client", "10.0.0.2", || async {
            let _stream = TcpStream::connect("server:7").await.unwrap();
            assert_ne!(asyncio_base::random::below(10), 7, "a bug");
        });
        sim
    };
    let found = (0..1000).find_map(|seed| sim(Sim::builder().seed(seed).record(true)).run().err()).unwrap();
    let script = found.script.clone().unwrap();
    let again = sim(Sim::builder().script(script)).run().unwrap_err();
    assert_eq!((found.hash, found.events), (again.hash, again.events));
    assert!(found.is_like(&again));
}

#[test]
fn a_failing_run_is_made_smaller_by_greater_numbers_too() {
    let scenario = |builder: Builder| {
        let sim = builder.build();
        sim.client("patient", "10.0.0.1", || async {
            let end = now() + Duration::from_secs(60);
            while now() < end {
                sleep(Duration::from_millis(100 + asyncio_base::random::below(10_000))).await;
            }
            assert!(now() < end, "a minute has passed");
        });
        sim
    };
    let found = Explorer::new("patience").explore(&scenario).unwrap_err();
    // The plain number is the shortest pause, of which there would be 600: six are enough.
    let drawn = found.shrunk.script.to_string();
    assert!(found.shrunk.script.len() <= 6, "{} events: {drawn}", found.shrunk.failure.events);
    assert!(found.shrunk.failure.events < found.failure.events);
}

/// Waits for a flag, and has nobody wake it.
async fn flagged(flag: Rc<Cell<bool>>) {
    std::future::poll_fn(|_| if flag.get() { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[test]
fn a_wake_that_was_lost_is_found_where_any_wake_mends_it() {
    for is_of_a_task in [true, false] {
        let failure = run(move || async move {
            let (_heart, flag) = (heart(), Rc::new(Cell::new(false)));
            let seen = flag.clone();
            spawn_local(async move {
                sleep(Duration::from_secs(1)).await;
                flag.set(true);
            })
            .detach();
            if is_of_a_task {
                spawn_local(flagged(seen)).await.unwrap();
                sleep(Duration::from_secs(1)).await;
            } else {
                flagged(seen).await;
            }
        });
        assert_eq!(failure.kind, FailureKind::Stall);
        assert!(failure.message.contains("a wake was lost"), "{failure}");
    }
}

#[test]
fn who_is_about_to_be_woken_has_missed_nothing() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async {
        let _heart = heart();
        let (mut one, other) = asyncio_net::UnixStream::pair().unwrap();
        // Just when one looks for stalls.
        spawn_local(async move {
            sleep(Duration::from_secs(600)).await;
            drop(other);
        })
        .detach();
        assert_eq!(one.read(&mut [0]).await.unwrap(), 0);
    });
    sim.run().unwrap();
}

#[test]
fn who_waits_for_one_that_works_does_not_stall() {
    // Whenever one looks, the worker waits for an answer, and never for a deadline.
    let link = Link::new().latency(Latency::fixed(Duration::from_millis(500)));
    let sim = Sim::builder().link(link).build();
    sim.host("server", "10.0.0.1", crate::worlds::answer_datagrams);
    sim.client("client", "10.0.0.2", || async {
        let worker = spawn_local(async {
            let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            for _ in 0..2000 {
                socket.send_to(b"question", "server:7").await.unwrap();
                socket.recv_from(&mut [0; 8]).await.unwrap();
            }
        });
        worker.await.unwrap();
    });
    sim.run().unwrap();
}

#[test]
fn a_client_that_crashes_while_it_cleans_up_has_ended() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async {
        drop(asyncio_tasks::guard_local((), |()| sleep(Duration::from_secs(5))));
    });
    sim.at(Duration::from_secs(1), |sim| sim.crash("client"));
    sim.run().unwrap();
}

#[test]
fn an_error_that_a_look_for_stalls_brings_to_light_is_that_error() {
    let failure = run(|| async {
        let (_heart, flag) = (heart(), Rc::new(Cell::new(false)));
        let seen = flag.clone();
        spawn_local(async move { flag.set(true) }).detach();
        flagged(seen).await;
        panic!("behind the wait");
    });
    assert_eq!(failure.kind, FailureKind::Panic, "{failure}");
}

#[test]
fn a_circle_that_a_timeout_or_a_branch_opens_is_none() {
    for is_branch in [true, false] {
        let sim = Sim::builder().build();
        sim.client("client", "10.0.0.1", move || async move {
            let (a, b) = (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())));
            let (other_a, other_b) = (a.clone(), b.clone());
            let other = spawn_local(async move {
                let _b = other_b.lock().await;
                sleep(Duration::from_secs(1)).await;
                let _a = other_a.lock().await;
            });
            let one = spawn_local(async move {
                let held = a.lock().await;
                sleep(Duration::from_secs(1)).await;
                if is_branch {
                    let gives_up = async {
                        sleep(Duration::from_secs(1)).await;
                        drop(held);
                    };
                    let _b = futures_lite::future::zip(b.lock(), gives_up).await;
                } else {
                    assert!(timeout(Duration::from_secs(1), b.lock()).await.is_err());
                }
            });
            one.await.unwrap();
            other.await.unwrap();
        });
        sim.run().unwrap();
    }
}

#[test]
fn whom_the_end_surprises_is_not_to_blame() {
    for seed in 0..20 {
        let sim = Sim::builder().seed(seed).build();
        sim.host("server", "10.0.0.1", || async {
            let task = spawn_local(pending::<()>());
            task.await.unwrap();
        });
        sim.client("client", "10.0.0.2", || sleep(Duration::from_secs(1)));
        sim.run().unwrap();
    }
}

#[test]
fn a_client_that_crashed_is_waited_for_by_its_name() {
    let sim = Sim::builder().build();
    sim.client("gone", "10.0.0.1", || sleep(Duration::from_secs(2)));
    sim.at(Duration::from_secs(1), |sim| sim.crash("gone"));
    let failure = sim.run().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Deadlock);
    assert!(failure.message.contains("gone (Crashed)"), "{failure}");
}

#[test]
fn what_differs_from_run_to_run_is_told_as_that() {
    let runs = Cell::new(0_u32);
    let scenario = |builder: Builder| {
        runs.set(runs.get() + 1);
        let (sim, run) = (builder.build(), runs.get());
        sim.client("client", "10.0.0.1", move || async move {
            sleep(Duration::from_secs(u64::from(run))).await;
            Err::<(), _>("at another time each time")
        });
        sim
    };
    let text =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Explorer::new("it").check(&scenario)));
    let text = *text.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("the same seed gave two runs"), "{text}");
}

#[test]
fn who_waits_for_one_of_two_locks_is_in_no_circle() {
    let sim = Sim::builder().build();
    sim.client("client", "10.0.0.1", || async {
        let locks: [Rc<Mutex<()>>; 3] = Default::default();
        let [a, b, c] = locks.clone();
        let one = spawn_local(async move {
            let _a = a.lock().await;
            sleep(Duration::from_secs(1)).await;
            let (b, c) = (async { drop(b.lock().await) }, async { drop(c.lock().await) });
            futures_lite::future::or(b, c).await;
        });
        let [a, b, c] = locks;
        let other = spawn_local(async move {
            let _b = b.lock().await;
            sleep(Duration::from_secs(1)).await;
            drop(a.lock().await);
        });
        let third = spawn_local(async move {
            let _c = c.lock().await;
            sleep(Duration::from_secs(2)).await;
        });
        for task in [one, other, third] {
            task.await.unwrap();
        }
    });
    sim.run().unwrap();
}

/// Two tasks that take two locks in two orders, after so long.
async fn circle(after: Duration) {
    let (a, b) = (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())));
    for [first, second] in [[a.clone(), b.clone()], [b, a]] {
        spawn_local(async move {
            let _first = first.lock().await;
            sleep(after).await;
            let _second = second.lock().await;
        })
        .detach();
    }
    heart().await.unwrap();
}

#[test]
fn a_circle_is_found_whenever_it_closes() {
    for seed in 0..10 {
        // Just when one looks for stalls, with another host to be looked at; and while its host is paused.
        for after in [600, 20] {
            let sim = Sim::builder().seed(seed).build();
            sim.client("one", "10.0.0.1", move || circle(Duration::from_secs(after)));
            sim.client("two", "10.0.0.2", || async { heart().await.unwrap() });
            sim.at(Duration::from_secs(20), |sim| sim.pause("one"));
            sim.at(Duration::from_secs(30), |sim| sim.resume("one"));
            let failure = sim.run().unwrap_err();
            assert_eq!((failure.kind, failure.host.as_deref()), (FailureKind::LockCycle, Some("one")));
        }
        // In the very last moment.
        let sim = Sim::builder().seed(seed).build();
        sim.host("one", "10.0.0.1", || circle(Duration::from_secs(20)));
        sim.client("two", "10.0.0.2", || sleep(Duration::from_secs(20)));
        assert_eq!(sim.run().unwrap_err().kind, FailureKind::LockCycle);
    }
}

#[test]
fn what_comes_at_the_last_moment_comes() {
    for seed in 0..10 {
        let sim = Sim::builder().seed(seed).build();
        sim.host("server", "10.0.0.1", || async {
            sleep(Duration::from_secs(1)).await;
            Err::<(), _>("at the last moment")
        });
        sim.client("client", "10.0.0.2", || sleep(Duration::from_secs(1)));
        let failure = sim.run().unwrap_err();
        assert!(failure.message.contains("at the last moment"), "{failure}");
    }
}
