//! Each combinator is cancelled, dropped, and forgotten at each of its polls: whatever was opened in it is closed once, before it is over.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use asyncio_tasks::{
    AsyncClose, Builder, TaskGroup, TaskLocal, WaitFor, as_completed, cancel_scope, completion, defer,
    first_ok, gather, gather_all, guard, guard_local, join, move_on_after, race, scope, scope_local, shield,
    spawn, spawn_checked, spawn_local, stream, task_group, task_local, timeout, timeout_scope, try_join,
    wait, with, yield_now,
};
use futures::StreamExt;

use crate::support::{World, in_world};

/// More than any of them takes.
const POLLS_MAX: u32 = 30;
const LONG: Duration = Duration::from_secs(1000);

task_local! { static REQUEST: u32; }

/// What was opened, and what was closed.
#[derive(Clone, Default)]
struct Books(Arc<(AtomicU32, AtomicU32)>);

impl Books {
    fn open(&self) -> Opened {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        Opened(self.clone())
    }

    fn balance(&self) -> (u32, u32) {
        (self.0.0.load(Ordering::Relaxed), self.0.1.load(Ordering::Relaxed))
    }

    /// Opens something, works for two polls, and has it closed.
    fn work(&self) -> impl Future<Output = Result<u32, String>> + Send + use<> {
        let books = self.clone();
        async move {
            let _open = guard(books.open(), AsyncClose::close);
            yield_now().await;
            let _other = guard(books.open(), AsyncClose::close);
            yield_now().await;
            Ok(1)
        }
    }
}

struct Opened(Books);

impl AsyncClose for Opened {
    async fn close(self) {
        yield_now().await;
        self.0.0.1.fetch_add(1, Ordering::Relaxed);
    }
}

type Step = Pin<Box<dyn Future<Output = ()>>>;
type Combinator = (&'static str, fn(Books) -> Step);

const COMBINATORS: [Combinator; 27] = [
    ("cancel_scope", |books| Box::pin(async move { drop(cancel_scope(async |_| books.work().await).await) })),
    ("timeout", |books| Box::pin(async move { drop(timeout(LONG, books.work()).await) })),
    ("move_on_after", |books| Box::pin(async move { drop(move_on_after(LONG, books.work()).await) })),
    ("timeout_scope", |books| {
        Box::pin(async move { drop(timeout_scope(None, async |_| books.work().await).await) })
    }),
    ("shield", |books| Box::pin(async move { drop(shield(books.work()).await) })),
    ("race", |books| Box::pin(async move { drop(race!(books.work(), books.work())) })),
    ("join", |books| Box::pin(async move { drop(join!(books.work(), books.work())) })),
    ("try_join", |books| Box::pin(async move { drop(try_join!(books.work(), books.work())) })),
    ("gather", |books| Box::pin(async move { drop(gather([books.work(), books.work()]).await) })),
    ("gather_all", |books| Box::pin(async move { drop(gather_all([books.work(), books.work()]).await) })),
    ("first_ok", |books| Box::pin(async move { drop(first_ok([books.work(), books.work()]).await) })),
    ("as_completed", |books| {
        Box::pin(async move { drop(as_completed([books.work(), books.work()]).collect::<Vec<_>>().await) })
    }),
    ("wait", |books| {
        Box::pin(async move {
            let tasks = vec![spawn(books.work()), spawn_local(books.work())];
            drop(wait(tasks, WaitFor::All, None).await);
        })
    }),
    ("task", |books| Box::pin(async move { drop(spawn(books.work()).await) })),
    ("shared", |books| {
        Box::pin(async move {
            let task = spawn(books.work()).shared();
            drop(join!(task.clone(), task));
        })
    }),
    ("eager", |books| {
        Box::pin(async move { drop(Builder::new().eager(true).spawn_local(books.work()).await) })
    }),
    ("spawn_checked", |books| Box::pin(async move { drop(spawn_checked(books.work()).await) })),
    ("task_group", |books| {
        Box::pin(async move {
            let body = async |group: TaskGroup<String>| {
                group.spawn(books.work());
                group.spawn_local(books.work()).detach();
                books.work().await
            };
            drop(task_group(body).await);
        })
    }),
    ("a group with a limit", |books| {
        Box::pin(async move {
            let body = async |group: TaskGroup<String>| {
                for _ in 0..3 {
                    group.spawn_when_free(books.work()).await.detach();
                }
                group.spawn(books.work()).await.map_err(|error| error.to_string())
            };
            drop(TaskGroup::builder().limit(1).run(body).await);
        })
    }),
    ("group.start", |books| {
        Box::pin(async move {
            let inner = books.clone();
            let body = async |group: TaskGroup<String>| {
                let started = group.start(move |ready: asyncio_tasks::Ready<u32>| async move {
                    inner.work().await?;
                    ready.set(1);
                    inner.work().await.map(drop)
                });
                started.await.map_err(|error| error.to_string())
            };
            drop(task_group(body).await);
        })
    }),
    ("scope", |books| {
        Box::pin(async move {
            let work = || async { books.work().await };
            let out = scope(async |s| {
                let (one, two) = (s.spawn(work()), s.spawn(work()));
                drop(two);
                drop(one.await);
                books.work().await
            });
            drop(out.await);
        })
    }),
    ("scope_local", |books| {
        Box::pin(async move {
            let count = Cell::new(0);
            let work = || async {
                drop(books.work().await);
                count.set(count.get() + 1);
            };
            scope_local(async |s| {
                s.spawn(work()).detach();
                s.spawn(work()).await;
            })
            .await;
        })
    }),
    ("with, defer and finish", |books| {
        Box::pin(async move {
            let opened = books.open();
            with(opened, async |_| {
                let last = books.open();
                defer(last.close());
                guard(books.open(), AsyncClose::close).finish().await;
                drop(books.work().await);
            })
            .await;
        })
    }),
    ("a local guard", |books| {
        Box::pin(async move {
            let _guard = guard_local((Rc::new(()), books.open()), |(rc, opened)| async move {
                opened.close().await;
                drop(rc);
            });
            drop(books.work().await);
        })
    }),
    ("completion", |books| {
        Box::pin(async move {
            let (setter, completion) = completion::<u32, String>();
            let maker = spawn(async move {
                if let Ok(value) = books.work().await {
                    setter.set(value);
                }
            });
            drop(join!(completion.clone(), completion));
            drop(maker.await);
        })
    }),
    ("stream", |books| {
        Box::pin(async move {
            let numbers = stream! {
                let _open = guard(books.open(), AsyncClose::close);
                yield books.work().await;
                yield books.work().await;
            };
            drop(numbers.collect::<Vec<_>>().await);
        })
    }),
    ("a task-local value", |books| {
        Box::pin(async move {
            let local: &TaskLocal<u32> = &REQUEST;
            local.scope(7, async { drop(books.work().await) }).await;
        })
    }),
];

/// How a combinator is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Cancel,
    CancelTask,
    Drop,
    Forget,
}

/// Runs a combinator in a scope, and ends it after so many rounds, or polls. Says whether it had ended before.
fn end_after(world: &World, what: &'static str, make: fn(Books) -> Step, end: End, polls: u32) -> bool {
    // Its tasks belong to nobody.
    let may_go_on = ["wait", "task", "shared", "eager", "spawn_checked", "completion"].contains(&what);
    let (books, name) = (Books::default(), format!("{what}, {end:?} after {polls}"));
    let is_over = Rc::new(Cell::new(false));
    let (seen, inner) = (is_over.clone(), books.clone());
    let (handle, place) = (Rc::new(Cell::new(None)), books.clone());
    let told = handle.clone();
    let task = spawn_local(async move {
        let mut future = make(inner);
        let mut left = polls;
        drop(
            cancel_scope(async |cancel| {
                told.set(Some(cancel.handle()));
                let is_ended_here = matches!(end, End::Drop | End::Forget);
                poll_fn(|cx| {
                    if is_ended_here && left == 0 {
                        return Poll::Ready(());
                    }
                    left = left.saturating_sub(1);
                    let poll = future.as_mut().poll(cx);
                    seen.set(poll.is_ready());
                    poll
                })
                .await;
                if end == End::Forget {
                    std::mem::forget(future);
                } else {
                    drop(future);
                }
            })
            .await,
        );
        // What was opened in it is closed by now, but for what tasks have that belong to nobody.
        place.balance()
    });
    for _ in 0..polls {
        world.executor.run_round();
    }
    match end {
        End::Cancel => drop(handle.take().map(|handle: asyncio_tasks::CancelHandle| handle.cancel())),
        End::CancelTask => _ = task.cancel(),
        End::Drop | End::Forget => {}
    }
    world.advance(Duration::from_secs(20));
    assert!(task.is_finished(), "{name}: its task has not ended");
    let ended = asyncio_executor::block_on(task);
    assert!(!ended.as_ref().is_err_and(asyncio_tasks::TaskError::is_panic), "{name}: {ended:?}");
    if let (Ok((opened, closed)), false) = (ended, may_go_on || end == End::Forget) {
        assert_eq!(opened, closed, "{name}: when the scope around had ended");
    }
    let (opened, closed) = books.balance();
    if end == End::Forget {
        // What is forgotten is never closed, and nothing is closed twice.
        assert!(closed <= opened, "{name}: opened {opened}, closed {closed}");
    } else {
        assert_eq!(opened, closed, "{name}");
        assert_eq!((world.executor.len(), world.cleanup.jobs()), (0, 0), "{name}");
    }
    is_over.get()
}

#[test]
fn each_combinator_may_be_ended_at_each_of_its_polls() {
    for (name, make) in COMBINATORS {
        for end in [End::Cancel, End::CancelTask, End::Drop] {
            let reports = in_world(|world| {
                // The scope is made by the first poll.
                let mut ended_after = None;
                for polls in u32::from(end == End::Cancel)..POLLS_MAX {
                    if end_after(world, name, make, end, polls) {
                        ended_after = ended_after.or(Some(polls));
                    }
                }
                // It is over sooner or later, and where nothing but its own polls ends it, not at once.
                assert!(
                    ended_after.is_some_and(|polls| end != End::Drop || polls > 1),
                    "{name}: {ended_after:?}"
                );
            });
            assert!(reports.is_empty(), "{name}, {end:?}: {reports:?}");
        }
    }
}

/// Leaking is safe: what is forgotten is lost, and nothing else is. (Run with AddressSanitizer by `cargo xtask ci --full`.)
#[test]
fn each_combinator_may_be_forgotten_at_each_of_its_polls() {
    for (name, make) in COMBINATORS {
        for polls in 0..POLLS_MAX {
            in_world(|world| {
                end_after(world, name, make, End::Forget, polls);
            });
        }
    }
}

#[test]
fn each_handle_may_be_forgotten() {
    in_world(|world| {
        use std::mem::forget;
        forget(spawn(yield_now()));
        forget(spawn(yield_now()).shared());
        let all = spawn_local(async {
            let local = 1;
            let out = scope(async |s| {
                forget(s.spawn(async { local + 1 }));
                forget(s.clone());
                s.spawn(async { local + 2 }).await
            });
            assert_eq!(out.await, 3);
            let out = task_group(async |group: TaskGroup<String>| {
                forget(group.spawn(async { Ok(()) }));
                forget(group.clone());
                group
                    .start(async |ready: asyncio_tasks::Ready<u32>| {
                        ready.set(1);
                        Ok(())
                    })
                    .await
                    .map_err(|error| error.to_string())
            });
            assert_eq!(out.await.ok(), Some(1));
            let out = cancel_scope(async |cancel| forget(cancel.handle()));
            assert!(out.await.is_ok());
        });
        let (setter, done) = completion::<u32, String>();
        forget(done.clone());
        setter.set(1);
        assert!(done.is_done());
        forget(completion::<u32, String>().0);
        forget(guard((), |()| async {}));
        forget(guard_local((), |()| async {}));
        world.advance(Duration::from_secs(1));
        asyncio_executor::block_on(all).unwrap();
        assert_eq!((world.executor.len(), world.cleanup.jobs()), (0, 0));
    });
}
