//! "Scheduling Calls to Regular Functions": callbacks that are called soon, later, or at a point of time; and a loop that runs until it is stopped.

use std::time::{Duration, Instant};

use asyncio::timers::ManualClock;
use asyncio::{EventLoop, NoEventLoop, Runner, sleep, yield_now};

use crate::{Outcome, jumping_clock};

const MS: Duration = Duration::from_millis(1);

fn callback(number: u32, note: &str) {
    println!("callback {number}: {note}");
}

/// Callbacks are called in the order in which they were registered, and not before the loop has its turn.
///
/// They take no arguments here, and so there is nothing like `functools.partial`: a closure has what it was made with.
pub fn asyncio_call_soon() -> Outcome {
    asyncio::run(async {
        let event_loop = EventLoop::current()?;
        println!("main: registers two callbacks");
        event_loop.call_soon(|| callback(1, "was registered first"))?;
        let note = String::from("a closure brings its arguments along");
        event_loop.call_soon(move || callback(2, &note))?;
        println!("main: neither was called yet");
        yield_now().await;
        println!("main: both were called");
        Ok(())
    })
}

/// Says how much time has passed, by the clock of the loop.
#[derive(Clone)]
struct Stopwatch {
    event_loop: EventLoop,
    start: Instant,
}

impl Stopwatch {
    fn start() -> Result<Self, NoEventLoop> {
        let event_loop = EventLoop::current()?;
        Ok(Self { start: event_loop.time(), event_loop })
    }

    fn say(&self, what: &str) {
        let passed = self.event_loop.time() - self.start;
        println!("{:>3} ms: {what}", passed.as_millis());
    }
}

/// Callbacks with a delay are called in the order of their deadlines, the one without first.
///
/// The clock of this loop jumps, so the figures are exact, which asyncio's cannot be.
pub fn asyncio_call_later() -> Outcome {
    jumping_clock::run(async {
        let stopwatch = Stopwatch::start()?;
        let event_loop = EventLoop::current()?;
        for (number, delay) in [(1, 200 * MS), (2, 100 * MS)] {
            let stopwatch = stopwatch.clone();
            event_loop.call_later(delay, move || stopwatch.say(&format!("callback {number}")))?;
        }
        let of_callback = stopwatch.clone();
        event_loop.call_soon(move || of_callback.say("callback 3"))?;
        stopwatch.say("main: has registered 1, 2 and 3");
        sleep(400 * MS).await;
        stopwatch.say("main: goes on");
        Ok(())
    })
}

/// The same with points of time. asyncio has numbers of seconds on a clock of its own; here they are `Instant`s.
pub fn asyncio_call_at() -> Outcome {
    jumping_clock::run(async {
        let stopwatch = Stopwatch::start()?;
        let event_loop = EventLoop::current()?;
        let now = event_loop.time();
        for (number, when) in [(1, now + 200 * MS), (2, now + 100 * MS)] {
            let of_callback = stopwatch.clone();
            let call = event_loop.call_at(when, move || of_callback.say(&format!("callback {number}")))?;
            let is_due = call.when().ok_or("it was given a time")?;
            stopwatch.say(&format!("main: callback {number} is due in {:?}", is_due - now));
        }
        let of_callback = stopwatch.clone();
        event_loop.call_soon(move || of_callback.say("callback 3"))?;
        sleep(400 * MS).await;
        stopwatch.say("main: goes on");
        Ok(())
    })
}

/// A task stops a loop that would run for ever. The round that is under way comes to its end, and the loop can run again.
pub fn asyncio_stop() -> Outcome {
    let mut runner = Runner::builder().clock(ManualClock::jumping()).build()?;
    let event_loop = runner.event_loop();
    let stops = event_loop.clone();
    let task = event_loop.spawn(async move {
        println!("task: sleeps");
        sleep(100 * MS).await;
        println!("task: stops the loop");
        stops.stop();
        println!("task: goes on to its next wait all the same");
        yield_now().await;
        println!("task: runs again");
    })?;
    println!("main: runs the loop for ever");
    runner.run_forever();
    println!("main: that was for ever, and the task has ended: {}", task.is_finished());
    runner.run(task)?;
    println!("main: the loop ran once more");
    Ok(())
}
