//! The threads that ask the system for names: few, started when needed, gone when idle.
//!
//! - P1: at most [`THREADS_MAX`] threads, and [`QUEUE_MAX`] questions that wait; one more is an error at once.
//! - P2: a question is never lost: it is put into the queue and a thread is counted for it under one lock, so a thread that is about
//!   to leave either sees it or has left already (tokio #8056 was that race).
//! - P3: one whose asker is gone is passed over; a look-up that has begun goes on, and its answer is forgotten.
//! - P4: where no thread can be started and none is there, the question comes back as an error.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use asyncio_base::shim::{Arc, Mutex, thread};
use asyncio_base::{closed_world, wait_point};

struct Question {
    ask: Box<dyn FnOnce() + Send>,
    /// P3.
    is_wanted: Box<dyn Fn() -> bool + Send>,
}

/// Look-ups wait for the network, not for the processor; four is what glibc's own `getaddrinfo_a` starts with.
const THREADS_MAX: usize = 4;
/// More questions than this are a fault of the program, or of the network; better an error than a growing queue.
const QUEUE_MAX: usize = 4096;
/// A thread without a question leaves after this long.
const IDLE_MAX: Duration = Duration::from_secs(10);

struct Pool {
    /// std's, since a condition variable needs it.
    state: std::sync::Mutex<State>,
    wake: Condvar,
}

struct State {
    questions: VecDeque<Question>,
    threads: usize,
    idle: usize,
}

static POOL: Pool = Pool {
    state: std::sync::Mutex::new(State { questions: VecDeque::new(), threads: 0, idle: 0 }),
    wake: Condvar::new(),
};

/// Runs `ask` on a thread of the pool and returns its answer.
pub(super) async fn run<T: Send + 'static>(
    ask: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let slot = Arc::new(Mutex::new(Slot { answer: None, waker: None }));
    let (theirs, seen) = (slot.clone(), Arc::downgrade(&slot));
    let is_wanted = Box::new(move || seen.strong_count() > 1);
    let ask = Box::new(move || {
        // A panic inside of `getaddrinfo`'s wrapper must not leave the asker waiting for ever.
        let mut panic = None;
        let answer = asyncio_base::panic::catch_and_store(&mut panic, ask);
        let answer = answer.unwrap_or_else(|| Err(io::Error::other("the look-up panicked")));
        let mut slot = theirs.lock();
        slot.answer = Some(answer);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    POOL.push(Question { ask, is_wanted })?;
    poll_fn(|cx| {
        let waker = cx.waker().clone();
        let mut slot = slot.lock();
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(answer);
        }
        let former = slot.waker.replace(waker);
        drop(slot);
        drop(former);
        wait_point::here("lookup_host");
        Poll::Pending
    })
    .await
}

struct Slot<T> {
    answer: Option<io::Result<T>>,
    waker: Option<Waker>,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&'static self, question: Question) -> io::Result<()> {
        let mut state = self.lock();
        if state.questions.len() >= QUEUE_MAX {
            // P3: time-outs and retries while name servers are silent.
            let (wanted, forgotten) =
                std::mem::take(&mut state.questions).into_iter().partition(|question| (question.is_wanted)());
            state.questions = wanted;
            drop(state);
            // They may have wakers of users'.
            drop::<VecDeque<Question>>(forgotten);
            state = self.lock();
        }
        if state.questions.len() >= QUEUE_MAX {
            return Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                "too many names are being looked up: 4096 wait",
            ));
        }
        state.questions.push_back(question);
        if state.idle >= state.questions.len() || state.threads == THREADS_MAX {
            drop(state);
            self.wake.notify_one();
            return Ok(());
        }
        state.threads += 1;
        let start = || thread::Builder::new().name("asyncio-names".into()).spawn(|| self.work());
        let started = closed_world::check("the system's look-up of names").and_then(|()| start());
        if let Err(error) = started {
            state.threads -= 1;
            if state.threads == 0 {
                state.questions.pop_back();
                return Err(io::Error::new(
                    error.kind(),
                    format!("no thread to look the name up on: {error}"),
                ));
            }
        }
        Ok(())
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(question) = state.questions.pop_front() {
                drop(state);
                if !(question.is_wanted)() {
                    drop(question);
                    state = self.lock();
                    continue;
                }
                // It wakes a waker of somebody else's, which may panic; the thread is counted on.
                let mut panic = None;
                asyncio_base::panic::catch_and_store(&mut panic, question.ask);
                if let Some(panic) = panic {
                    let message = asyncio_base::panic::into_message(panic);
                    asyncio_base::report::report("net", format_args!("a waker panicked: {message}"));
                }
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let (woken, timeout) =
                self.wake.wait_timeout(state, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.questions.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::Context;

    /// Rows DN 8 and I20 of `reference/reliability.md`: look-ups that hang take the threads, and nothing else; those whose askers are gone are not begun.
    #[test]
    fn a_question_whose_asker_is_gone_is_not_asked() {
        let (release, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let (told, asked) = mpsc::channel();
        let mut cx = Context::from_waker(Waker::noop());
        let mut hung: Vec<_> = (0..THREADS_MAX)
            .map(|_| {
                let (wait, told) = (wait.clone(), told.clone());
                let ask = move || {
                    told.send("hangs").unwrap();
                    let _ = wait.lock().recv();
                    Ok(())
                };
                Box::pin(run(ask))
            })
            .collect();
        for question in &mut hung {
            assert!(question.as_mut().poll(&mut cx).is_pending());
        }
        for _ in 0..THREADS_MAX {
            assert_eq!(asked.recv(), Ok("hangs"));
        }
        {
            let told = told.clone();
            let mut forgotten = pin!(run(move || {
                told.send("nobody wants to know").unwrap();
                Ok(())
            }));
            assert!(forgotten.as_mut().poll(&mut cx).is_pending());
        }
        let last = run(move || {
            told.send("the last").unwrap();
            Ok(7)
        });
        drop(release);
        assert_eq!(futures_lite::future::block_on(last).unwrap(), 7);
        assert_eq!(asked.iter().collect::<Vec<_>>(), ["the last"]);
        for question in hung {
            futures_lite::future::block_on(question).unwrap();
        }
    }
}
