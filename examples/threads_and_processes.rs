//! Work that keeps a processor busy, beside a loop that is not to notice: on threads, and in other processes, which may crash.
//!
//! `cargo run --release --example threads_and_processes`. It shows how late the loop's ticks come meanwhile: on the loop itself, on threads, in processes.

#[cfg(unix)]
mod unix {
    use std::error::Error;
    use std::time::{Duration, Instant};

    use asyncio::process::{CallError, Functions, ProcessPool};
    use asyncio::{gather_all, race, sleep, to_thread};

    const CALLS: u64 = 8;
    const LIMIT: u64 = 300_000;

    /// Counts primes, without any haste.
    fn primes(below: u64) -> usize {
        (2..below).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
    }

    /// Does what no library should.
    fn crashes(_: ()) {
        std::process::abort();
    }

    pub fn functions() -> Functions {
        Functions::new().with(primes).with(crashes)
    }

    /// Ticks for ever, and notes the longest delay.
    async fn ticks(longest: &mut Duration) {
        const TICK: Duration = Duration::from_millis(1);
        loop {
            let start = Instant::now();
            sleep(TICK).await;
            *longest = (*longest).max(start.elapsed() - TICK);
        }
    }

    /// Runs something beside the ticks.
    async fn beside<T>(what: &str, work: impl Future<Output = T>) -> (T, Duration) {
        let (mut longest, start) = (Duration::ZERO, Instant::now());
        let out = race!(async { Some(work.await) }, async {
            ticks(&mut longest).await;
            None
        });
        println!("{what:>12}: {:>8.1?}, and the loop was late by at most {longest:.1?}", start.elapsed());
        (out.expect("the ticks do not end"), longest)
    }

    pub async fn main(functions: Functions) -> Result<(), Box<dyn Error>> {
        let expected = primes(LIMIT);

        let (_, on_loop) = beside("on the loop", async {
            for _ in 0..CALLS {
                sleep(Duration::from_millis(1)).await;
                assert_eq!(primes(LIMIT), expected);
            }
        })
        .await;

        let (counts, on_threads) =
            beside("on threads", gather_all((0..CALLS).map(|_| to_thread(|| primes(LIMIT))))).await;
        assert!(counts.into_iter().all(|count| count.is_ok_and(|count| count == expected)));

        let pool = ProcessPool::new(functions);
        // The workers are started before.
        let _ = gather_all((0..CALLS).map(|_| pool.run(primes, 10))).await;
        let (counts, _) =
            beside("in processes", gather_all((0..CALLS).map(|_| pool.run(primes, LIMIT)))).await;
        assert!(counts.into_iter().all(|count| count.is_ok_and(|count: usize| count == expected)));

        // One that crashes is an error of that call alone.
        match pool.run(crashes, ()).await {
            Err(CallError::Crashed(status)) => println!("       crash: {status}, and the pool goes on"),
            other => return Err(format!("it did not crash: {other:?}").into()),
        }
        assert_eq!(pool.run(primes, 10).await?, 4);
        pool.close().await;
        assert!(on_threads < on_loop, "a thread holds the loop less than the loop itself does");
        Ok(())
    }
}

#[cfg(unix)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A worker of the pool goes no further.
    let functions = unix::functions().enter();
    asyncio::run(unix::main(functions))
}

#[cfg(not(unix))]
fn main() {}
