//! An executor of several workers: order, stealing, waking, closing.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use asyncio_executor::{Executor, Handle, LocalExecutor, SpawnPinnedError, TaskOptions, block_on};

use crate::support::Yield;

/// Counts how often a worker is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Bell {
    fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self::default());
        (bell.clone(), bell.into())
    }

    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn quiet_worker(executor: &Executor, index: usize) -> LocalExecutor {
    executor.worker(index, Waker::noop().clone()).unwrap()
}

/// Spawns where it is called, without a word.
fn spawn<F>(future: F) -> Handle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    asyncio_executor::spawn(TaskOptions::here(), future).unwrap()
}

/// Runs a program on so many workers, each on a thread that parks. The first of them runs main.
fn run_on<R>(workers: usize, main: impl AsyncFnOnce(Executor) -> R) -> R {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    fn work(worker: &LocalExecutor, executor: &Executor) {
        while !executor.is_closed() {
            while worker.run_round() > 0 {}
            if let Some(_idle) = worker.try_idle() {
                thread::park();
            }
        }
    }
    let executor = Executor::new(workers);
    let seated = Arc::new(Barrier::new(workers + 1));
    let threads: Vec<_> = (0..workers)
        .map(|index| {
            let (executor, seated) = (executor.clone(), seated.clone());
            thread::spawn(move || {
                let unpark = Arc::new(Unpark(thread::current()));
                let worker = executor.worker(index, unpark.into()).unwrap();
                let _entered = worker.enter();
                seated.wait();
                work(&worker, &executor);
            })
        })
        .collect();
    seated.wait();
    let result = block_on(main(executor.clone()));
    executor.close();
    for thread in threads {
        thread.thread().unpark();
        thread.join().unwrap();
    }
    result
}

#[test]
fn each_task_runs_once_whoever_takes_it() {
    const TASKS: usize = 20_000;
    let polls: Arc<Vec<AtomicUsize>> = Arc::new((0..TASKS).map(|_| AtomicUsize::new(0)).collect());
    let counts = polls.clone();
    let sum = run_on(4, async move |executor| {
        // A tree: each task spawns two, on the worker where it happens to run.
        fn node(
            n: usize,
            counts: Arc<Vec<AtomicUsize>>,
        ) -> std::pin::Pin<Box<dyn Future<Output = usize> + Send>> {
            Box::pin(async move {
                counts[n].fetch_add(1, Ordering::Relaxed);
                let children: Vec<_> = [2 * n + 1, 2 * n + 2]
                    .into_iter()
                    .filter(|&child| child < TASKS)
                    .map(|child| spawn(node(child, counts.clone())))
                    .collect();
                let mut sum = n;
                for child in children {
                    sum += child.await.unwrap();
                }
                sum
            })
        }
        executor.spawn(TaskOptions::here(), node(0, counts)).unwrap().await.unwrap()
    });
    assert_eq!(sum, TASKS * (TASKS - 1) / 2);
    assert!(polls.iter().all(|count| count.load(Ordering::Relaxed) == 1));
}

/// Local tasks and others are in one queue.
#[test]
fn one_worker_runs_all_it_has_first_in_first_out() {
    let executor = Executor::new(2);
    let worker = quiet_worker(&executor, 0);
    let _entered = worker.enter();
    let order = Arc::new(Mutex::new(Vec::new()));
    for n in 0..1_000 {
        let order = order.clone();
        let note = async move { order.lock().unwrap().push(n) };
        if n % 3 == 0 { worker.spawn(note).detach() } else { spawn(note).detach() }
    }
    while worker.run_round() > 0 {}
    assert_eq!(*order.lock().unwrap(), (0..1_000).collect::<Vec<_>>());
}

/// The worker's tokens for what was stolen stand for nothing, and do not bring what came later forward.
#[test]
fn order_stands_when_some_are_stolen() {
    let executor = Executor::new(2);
    let (here, there) = (quiet_worker(&executor, 0), quiet_worker(&executor, 1));
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |n: u32| {
        let order = order.clone();
        async move { order.lock().unwrap().push(n) }
    };
    let entered = here.enter();
    (0..4).for_each(|n| spawn(note(n)).detach());
    here.spawn(note(4)).detach();
    spawn(note(5)).detach();
    drop(entered);
    // Half of five, rounded up: the oldest.
    assert!(there.try_idle().is_none(), "it finds work");
    let _entered = here.enter();
    while here.run_round() > 0 {}
    assert_eq!(*order.lock().unwrap(), [3, 4, 5]);
    drop(_entered);
    let _entered = there.enter();
    while there.run_round() > 0 {}
    assert_eq!(*order.lock().unwrap(), [3, 4, 5, 0, 1, 2]);
}

/// Wakes the one who waits for it.
#[derive(Clone, Default)]
struct Baton(Arc<Mutex<(bool, Option<Waker>)>>);

impl Baton {
    fn pass(&self) {
        let mut baton = self.0.lock().unwrap();
        baton.0 = true;
        let waker = baton.1.take();
        drop(baton);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn take(&self) {
        poll_fn(|cx| {
            let mut baton = self.0.lock().unwrap();
            if std::mem::take(&mut baton.0) {
                return Poll::Ready(());
            }
            baton.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[test]
fn who_is_woken_by_the_one_that_is_polled_comes_next_and_starves_nobody() {
    let executor = Executor::new(2);
    let worker = quiet_worker(&executor, 0);
    let _entered = worker.enter();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (ping, pong) = (Baton::default(), Baton::default());
    let player = |name: char, mine: Baton, other: Baton, order: Arc<Mutex<Vec<char>>>| async move {
        for _ in 0..6 {
            mine.take().await;
            order.lock().unwrap().push(name);
            other.pass();
        }
    };
    spawn(player('i', ping.clone(), pong.clone(), order.clone())).detach();
    spawn(player('o', pong, ping.clone(), order.clone())).detach();
    worker.run_round();
    let others = order.clone();
    spawn(async move {
        ping.pass();
        for _ in 0..3 {
            others.lock().unwrap().push('.');
            Yield::default().await;
        }
    })
    .detach();
    while worker.run_round() > 0 {}
    let order: String = order.lock().unwrap().iter().collect();
    assert_eq!(order, ".ioi.oioi.oioio");
}

#[test]
fn work_of_one_that_is_held_up_is_done_by_others() {
    run_on(2, async |executor| {
        let (told, hears) = mpsc::channel();
        let blocked = executor.spawn(TaskOptions::here(), async move {
            // On the same worker's queue, and the second one in its hot place.
            let baton = Baton::default();
            let waits = spawn({
                let (baton, told) = (baton.clone(), told.clone());
                async move {
                    baton.take().await;
                    told.send("woken").unwrap();
                }
            });
            Yield::default().await;
            baton.pass();
            spawn(async move { told.send("spawned").unwrap() }).detach();
            // This poll ends when both have run, and that is elsewhere.
            let mut heard = [hears.recv().unwrap(), hears.recv().unwrap()];
            heard.sort_unstable();
            assert_eq!(heard, ["spawned", "woken"]);
            waits.await.unwrap();
        });
        blocked.unwrap().await.unwrap();
    });
}

#[test]
fn one_is_woken_for_one_task_and_none_while_somebody_searches() {
    let executor = Executor::new(3);
    let (bells, workers): (Vec<_>, Vec<_>) = (0..3)
        .map(|index| {
            let (bell, unpark) = Bell::new();
            (bell, executor.worker(index, unpark).unwrap())
        })
        .unzip();
    let rings = || bells.iter().map(|bell| bell.rings()).collect::<Vec<_>>();
    let idle: Vec<_> = workers.iter().map(|worker| worker.try_idle().unwrap()).collect();
    executor.spawn(TaskOptions::here(), async {}).unwrap().detach();
    assert_eq!(rings(), [1, 0, 0]);
    executor.spawn(TaskOptions::here(), async {}).unwrap().detach();
    assert_eq!(rings(), [1, 0, 0], "the one that was woken is on its way, and will look for help");
    let mut idle = idle.into_iter();
    drop(idle.next());
    assert_eq!(rings(), [1, 1, 0], "there is one more than it took");
    let mut ran = workers[0].run_round();
    drop(idle.next());
    ran += workers[1].run_round();
    assert_eq!(ran, 2);
    assert_eq!(rings(), [1, 1, 0]);
}

/// What it was woken for is gone, and it has something of its own: that is no reason to go on searching.
#[test]
fn who_was_woken_in_vain_does_what_is_his() {
    let executor = Executor::new(2);
    let (here, there) = (quiet_worker(&executor, 0), quiet_worker(&executor, 1));
    let own = {
        let _entered = here.enter();
        let mut first = true;
        let place = Arc::new(Mutex::new(None));
        let waker = place.clone();
        spawn(poll_fn(move |cx| {
            *place.lock().unwrap() = Some(cx.waker().clone());
            if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
        }))
        .detach();
        here.run_round();
        waker.lock().unwrap().take().unwrap()
    };
    let idle = here.try_idle().unwrap();
    executor.spawn(TaskOptions::here(), async {}).unwrap().detach();
    assert_eq!(there.run_round(), 1, "it takes what was for both");
    let _entered = here.enter();
    own.wake();
    drop(idle);
    assert_eq!(here.run_round(), 1);
}

/// A worker that looks at its own queue next needs nobody for one task.
#[test]
fn nobody_is_woken_for_what_its_worker_comes_to_next() {
    let executor = Executor::new(2);
    let here = quiet_worker(&executor, 0);
    let (bell, unpark) = Bell::new();
    let there = executor.worker(1, unpark).unwrap();
    let _asleep = there.try_idle().unwrap();
    let _entered = here.enter();
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let place = waker.clone();
    here.run_round();
    spawn(poll_fn(move |cx| {
        *place.lock().unwrap() = Some(cx.waker().clone());
        Poll::<()>::Pending
    }))
    .detach();
    assert_eq!(bell.rings(), 0, "it is the only one");
    here.run_round();
    let idle = here.try_idle().unwrap();
    waker.lock().unwrap().take().unwrap().wake();
    drop(idle);
    assert_eq!(bell.rings(), 0, "as an event would: one task for one worker");
    assert_eq!(here.run_round(), 1);

    let both = [spawn(async {}), spawn(async {})];
    assert_eq!(bell.rings(), 1, "two are too many for one");
    here.run_round();
    drop(both);
}

#[test]
fn a_task_that_yields_alone_wakes_nobody() {
    let executor = Executor::new(2);
    let here = quiet_worker(&executor, 0);
    let (bell, unpark) = Bell::new();
    let there = executor.worker(1, unpark).unwrap();
    let _asleep = there.try_idle().unwrap();
    let _entered = here.enter();
    here.run_round();
    let task = spawn(async {
        for _ in 0..100 {
            Yield::default().await;
        }
    });
    while !task.is_finished() {
        here.run_round();
    }
    assert_eq!(bell.rings(), 0);
}

/// Says when it is dropped.
struct Tell(Arc<AtomicUsize>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn closing_drops_every_future_wherever_it_is() {
    let executor = Executor::new(2);
    let worker = quiet_worker(&executor, 0);
    let drops = Arc::new(AtomicUsize::new(0));
    let entered = worker.enter();
    let baton = Baton::default();
    let tell = || Tell(drops.clone());
    let waits = {
        let (baton, tell) = (baton.clone(), tell());
        spawn(async move {
            let _tell = tell;
            baton.take().await;
            pending::<()>().await;
        })
    };
    let for_ever = {
        let tell = tell();
        spawn(async move {
            let _tell = tell;
            pending::<()>().await;
        })
    };
    worker.run_round();
    let in_ring = {
        let tell = tell();
        spawn(async move { drop(tell) })
    };
    drop(entered);
    let injected = {
        let tell = tell();
        executor.spawn(TaskOptions::here(), async move { drop(tell) }).unwrap()
    };
    baton.pass();
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    executor.close();
    assert_eq!(drops.load(Ordering::SeqCst), 4);
    for handle in [waits, for_ever, in_ring, injected] {
        assert_eq!(block_on(handle), None);
    }
    let late = tell();
    assert!(executor.spawn(TaskOptions::here(), async move { drop(late) }).is_err());
    assert_eq!(drops.load(Ordering::SeqCst), 5, "dropped where it was spawned");
    let _entered = worker.enter();
    let later = tell();
    assert_eq!(block_on(spawn(async move { drop(later) })), None);
    assert_eq!(drops.load(Ordering::SeqCst), 6);
}

/// One whose drop wakes the next one, a hundred thousand times: the stack is not as deep as that.
#[test]
fn closing_goes_one_by_one() {
    struct WakeNext(Option<Waker>);
    impl Drop for WakeNext {
        fn drop(&mut self) {
            if let Some(waker) = self.0.take() {
                waker.wake();
            }
        }
    }
    let executor = Executor::new(1);
    let worker = quiet_worker(&executor, 0);
    let _entered = worker.enter();
    let mut next: Option<Waker> = None;
    for _ in 0..100_000 {
        let mine = Arc::new(Mutex::new(None));
        let (place, wake_next) = (mine.clone(), WakeNext(next.take()));
        spawn(poll_fn(move |cx| {
            let _ = &wake_next;
            *place.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }))
        .detach();
        worker.run_round();
        next = mine.lock().unwrap().take();
    }
    executor.close();
}

#[test]
fn a_task_that_is_polled_while_the_executor_closes_goes_at_the_end_of_that_poll() {
    let executor = Executor::new(1);
    let worker = quiet_worker(&executor, 0);
    let _entered = worker.enter();
    let drops = Arc::new(AtomicUsize::new(0));
    let was_gone = Arc::new(AtomicBool::new(true));
    let task = {
        let (closer, tell, drops, was_gone) =
            (executor.clone(), Tell(drops.clone()), drops.clone(), was_gone.clone());
        spawn(async move {
            let _tell = tell;
            closer.close();
            was_gone.store(drops.load(Ordering::SeqCst) == 1, Ordering::SeqCst);
            pending::<()>().await;
        })
    };
    worker.run_round();
    assert!(!was_gone.load(Ordering::SeqCst), "not under its feet");
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    assert_eq!(block_on(task), None);
}

#[test]
fn who_leaves_gives_what_is_ready_to_the_others() {
    let executor = Executor::new(2);
    let leaver = quiet_worker(&executor, 0);
    let error = executor.worker(0, Waker::noop().clone()).unwrap_err();
    assert_eq!(error.to_string(), "there is a worker 0 already: drop it first, or take another number");
    let tasks = {
        let _entered = leaver.enter();
        [spawn(async { 1 }), spawn(async { 2 })]
    };
    drop(leaver);
    let stayer = quiet_worker(&executor, 1);
    let mut ran = 0;
    while ran < 2 {
        assert!(stayer.try_idle().is_none(), "there is work");
        ran += stayer.run_round();
    }
    assert_eq!(tasks.map(|task| block_on(task).unwrap()), [1, 2]);
    drop(quiet_worker(&executor, 0));
}

#[test]
fn what_is_made_on_a_worker_stays_there() {
    run_on(3, async |executor| {
        for worker in 0..3 {
            let there = executor.spawn_pinned(worker, TaskOptions::here(), || async {
                let (not_send, thread) = (Rc::new(1), thread::current().id());
                Yield::default().await;
                assert_eq!(thread::current().id(), thread);
                (*not_send, thread)
            });
            let again =
                executor.spawn_pinned(worker, TaskOptions::here(), || async { thread::current().id() });
            let (one, thread) = there.unwrap().await.unwrap();
            assert_eq!(one, 1);
            assert_eq!(again.unwrap().await, Some(thread));
        }
        let error = executor.spawn_pinned(3, TaskOptions::here(), || async {}).unwrap_err();
        assert_eq!(error, executor.spawn_pinned(3, TaskOptions::here(), || async {}).unwrap_err());
        assert_eq!(
            error.to_string(),
            "there is no worker 3 to start a task on: this runtime has 3, counted from 0"
        );
    });
    let nobody = Executor::new(1);
    let made = Arc::new(AtomicUsize::new(0));
    let tell = Tell(made.clone());
    let refused = nobody.spawn_pinned(0, TaskOptions::here(), move || async move { drop(tell) });
    assert_eq!(refused.unwrap_err(), SpawnPinnedError::Closed, "nobody sits there");
    assert_eq!(made.load(Ordering::SeqCst), 1, "and it is dropped");
}

#[test]
fn a_panic_is_its_tasks_own() {
    run_on(2, async |executor| {
        let task = executor.spawn(TaskOptions::here(), async { panic!("a bug") });
        let mut task = pin!(task.unwrap());
        let caught = poll_fn(|cx: &mut Context<'_>| {
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(_)) => Poll::Ready(None),
                Err(panic) => Poll::Ready(Some(panic)),
            }
        });
        assert_eq!(*caught.await.unwrap().downcast::<&str>().unwrap(), "a bug");
        assert_eq!(executor.spawn(TaskOptions::here(), async { 1 }).unwrap().await, Some(1), "it goes on");
    });
}

/// Wakes from everywhere at once, again and again, while workers fall asleep between them.
#[test]
fn no_wake_is_lost_between_workers_and_threads() {
    const ROUNDS: usize = 2_000;
    run_on(2, async |executor| {
        let batons: Vec<(Baton, Baton)> = (0..4).map(|_| (Baton::default(), Baton::default())).collect();
        let players: Vec<_> = batons
            .iter()
            .cloned()
            .map(|(there, back)| {
                executor.spawn(TaskOptions::here(), async move {
                    for _ in 0..ROUNDS {
                        there.take().await;
                        back.pass();
                    }
                })
            })
            .collect();
        let start = Arc::new(Barrier::new(batons.len()));
        let threads: Vec<_> = batons
            .into_iter()
            .map(|(there, back)| {
                let start = start.clone();
                thread::spawn(move || {
                    start.wait();
                    for _ in 0..ROUNDS {
                        there.pass();
                        block_on(back.take());
                    }
                })
            })
            .collect();
        for player in players {
            player.unwrap().await.unwrap();
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
