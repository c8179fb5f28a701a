//! "Cooperative Multitasking with Coroutines": a future is run, gives a value, awaits others.

use asyncio::Runner;

use crate::Outcome;

async fn greet() {
    println!("future: I run inside of the loop");
}

/// Runs a future to its end on a loop, and closes the loop.
///
/// As a coroutine, a future does nothing until it is run. One that nobody ever runs is a warning of the compiler here, and not of the running program.
/// There is no loop of the thread to be asked for: a `Runner` owns one, and `asyncio::run` is the short form of all of this.
pub fn asyncio_coroutine() -> Outcome {
    println!("main: makes the future, of which nothing runs");
    let greeting = greet();
    let mut runner = Runner::new()?;
    println!("main: runs it");
    runner.run(greeting);
    println!("main: closes the loop");
    runner.close();
    println!("main: the loop is closed: {}", runner.event_loop().is_closed());
    Ok(())
}

async fn answer() -> u32 {
    println!("future: computes the answer");
    6 * 7
}

/// Gets the value of a future from the call that runs it. It has a type, which is that of the future.
pub fn asyncio_coroutine_return() -> Outcome {
    let value = asyncio::run(answer());
    println!("main: the answer is {value}");
    Ok(())
}

async fn first_phase() -> String {
    println!("first phase: runs");
    String::from("flour")
}

async fn second_phase(material: &str) -> String {
    println!("second phase: is given {material:?}");
    material.replace("flour", "bread")
}

async fn outer() -> (String, String) {
    println!("outer: waits for the first phase");
    let material = first_phase().await;
    println!("outer: waits for the second phase");
    let product = second_phase(&material).await;
    (material, product)
}

/// A future awaits two others, one after the other, and hands the result of one to the next; which may borrow it.
pub fn asyncio_coroutine_chain() -> Outcome {
    let (material, product) = asyncio::run(outer());
    println!("main: of {material:?} came {product:?}");
    Ok(())
}

/// The chain once more, by generators and `yield from`, which Python itself has given up for coroutines in 3.11.
pub fn asyncio_generator() -> Outcome {
    println!("no counterpart: Rust has one kind of async function, as in asyncio_coroutine_chain");
    Ok(())
}
