//! "Producing Results Asynchronously": a result that is set later, which is asyncio's `Future` and is called a completion here.

use std::convert::Infallible;

use asyncio::{EventLoop, Runner, completion};

use crate::Outcome;

/// A callback sets a result, and the loop runs until it is there. It can still be looked at when the loop is closed.
///
/// asyncio's `Future` is set and awaited by the same object. Here the one who sets has a `Setter`, of which there is one, so a result cannot be set twice.
pub fn asyncio_future_event_loop() -> Outcome {
    let mut runner = Runner::new()?;
    let (setter, result) = completion::<&str, Infallible>();
    runner.event_loop().call_soon(move || {
        println!("callback: sets the result");
        setter.set("here it is");
    })?;
    println!("main: runs the loop until there is a result; it is set: {}", result.is_done());
    let value = runner.run(result.clone())?;
    println!("main: the loop has returned {value:?}");
    runner.close();
    println!("main: when the loop is closed, the outcome is {:?}", result.outcome());
    Ok(())
}

/// The same result is awaited, by as many as wish to.
pub fn asyncio_future_await() -> Outcome {
    asyncio::run(async {
        let (setter, result) = completion::<&str, Infallible>();
        EventLoop::current()?.call_soon(move || {
            println!("callback: sets the result");
            setter.set("here it is");
        })?;
        let other = result.clone();
        println!("main: waits");
        println!("main: has {:?}", result.await?);
        println!("main: the result is set: {}", other.is_done());
        println!("main: whoever comes later need not wait, and has {:?}", other.await?);
        Ok(())
    })
}

/// Two callbacks are called when the result is set, in the order of their registration, and then whoever waits.
pub fn asyncio_future_callback() -> Outcome {
    asyncio::run(async {
        let (setter, result) = completion::<&str, Infallible>();
        for number in 1..=2 {
            result.on_done(move |outcome| println!("callback {number}: is told {:?}", outcome.ok()));
        }
        EventLoop::current()?.call_soon(move || {
            setter.set("here it is");
            println!("setter: has set the result, and no callback was called yet");
        })?;
        println!("main: waits");
        println!("main: has {:?}", result.await?);
        Ok(())
    })
}
