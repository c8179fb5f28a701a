//! Task groups: many fetches at once with a limit, where the first failure ends all; a supervisor that keeps going; children that borrow.
//!
//! `cargo run --release --example task_group`. The clock jumps, so it takes no time.

use std::io;
use std::time::Duration;

use asyncio::timers::ManualClock;
use asyncio::{GroupError, OnError, Ready, Runner, TaskGroup, defer, scope, sleep, task_group};

/// Stands for a request over the network: page 13 is broken.
async fn fetch(page: u64) -> io::Result<u64> {
    sleep(Duration::from_millis(10 + page % 7)).await;
    if page == 13 {
        return Err(io::Error::other("page 13 is broken"));
    }
    Ok(page * 100)
}

/// All pages, at most eight at a time; or the first error, when all that was under way has ended.
async fn fetch_all(pages: impl Iterator<Item = u64>) -> Result<u64, GroupError<io::Error>> {
    TaskGroup::builder()
        .limit(8)
        .run(async |group| {
            let mut tasks = Vec::new();
            for page in pages {
                // Waits for a free place: the producer goes no faster than its children.
                tasks.push(group.spawn_when_free(fetch(page)).await);
            }
            let mut bytes = 0;
            for task in tasks {
                // A child that fails says only so; its error is the group's.
                bytes += task.await?;
            }
            Ok(bytes)
        })
        .await
}

/// Goes on though some fail, and tells of all failures at the end.
async fn fetch_what_can_be_had(pages: impl Iterator<Item = u64>) -> Vec<io::Error> {
    let group = TaskGroup::builder().on_error(OnError::KeepGoing);
    let out = group
        .run(async |group| {
            pages.for_each(|page| group.spawn(fetch(page)).detach());
            Ok(())
        })
        .await;
    out.map_or_else(GroupError::into_errors, |()| Vec::new())
}

/// Starts a server in a group, and goes on when it listens; what is deferred comes when all children have ended.
async fn with_server() -> Result<u16, GroupError<io::Error>> {
    task_group(async |group| {
        defer(async { println!("the group has ended") });
        let port = group
            .start(async |ready: Ready<u16>| {
                sleep(Duration::from_millis(5)).await; // It binds, and listens.
                ready.set(8080);
                sleep(Duration::from_secs(3600)).await; // It serves.
                Ok(())
            })
            .await?;
        println!("the server listens on port {port}");
        group.cancel();
        Ok(port)
    })
    .await
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut runner = Runner::builder().clock(ManualClock::jumping()).build()?;
    runner.run(async {
        assert_eq!(fetch_all(0..10).await?, 4500);

        let error = fetch_all(0..100).await.expect_err("a page is broken");
        println!("{error}");
        assert_eq!(error.errors().len(), 1);

        let errors = fetch_what_can_be_had(0..100).await;
        assert_eq!(errors.len(), 1);

        assert_eq!(with_server().await?, 8080);

        // Children of a scope may borrow: here the words, and the counts.
        let words = ["structured", "concurrency"];
        let mut lengths = [0; 2];
        scope(async |s| {
            for (word, length) in words.iter().zip(&mut lengths) {
                s.spawn(async {
                    sleep(Duration::from_millis(1)).await;
                    *length = word.len();
                });
            }
        })
        .await;
        assert_eq!(lengths, [10, 11]);
        println!("{words:?} have {lengths:?} letters");
        Ok(())
    })
}
