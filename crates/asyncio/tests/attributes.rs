//! The attributes `#[asyncio::main]` and `#[asyncio::test]`.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use asyncio::{EventLoop, NoEventLoop, Runner};

#[asyncio::main]
async fn on_one_loop() -> Result<usize, NoEventLoop> {
    Ok(EventLoop::current()?.worker())
}

#[asyncio::main(workers = 3)]
async fn on_three_loops() -> usize {
    let pinned = (0..3).map(|worker| {
        asyncio::spawn_pinned(worker, move || async move {
            EventLoop::current().expect("a loop runs").worker() == worker
        })
    });
    let mut found = 0;
    for task in pinned.collect::<Vec<_>>() {
        found += usize::from(task.unwrap().await.unwrap());
    }
    assert!(asyncio::spawn_pinned(3, || async {}).is_err());
    found
}

#[asyncio::test]
async fn a_test_runs_on_a_loop() -> Result<(), NoEventLoop> {
    EventLoop::current().map(drop)
}

#[asyncio::test]
#[should_panic(expected = "on purpose")]
async fn other_attributes_of_a_test_stay() {
    panic!("on purpose");
}

/// In a module of its own, that is as strict as some are.
mod strict {
    #![deny(trivial_casts, unused_lifetimes, unreachable_code)]

    #[asyncio::test]
    async fn a_test_may_have_lifetimes<'a>() {
        let text: &'a str = "of the program";
        asyncio::yield_now().await;
        assert_eq!(text.len(), 14);
    }

    #[asyncio::test]
    async fn a_test_may_say_of_its_result_what_it_can_do() -> impl std::process::Termination {
        asyncio::yield_now().await;
    }
}

#[test]
fn a_main_runs_on_a_loop_of_its_own_and_returns_what_it_returns() {
    assert_eq!(on_one_loop().unwrap(), 0);
    assert_eq!(on_one_loop().unwrap(), 0);
    assert!(EventLoop::current().is_err());
}

#[test]
fn a_main_of_three_workers_has_three_loops() {
    assert_eq!(on_three_loops(), 3);
}

#[test]
#[should_panic(expected = "Runner")]
fn a_main_inside_of_a_loop_panics_and_names_the_way_out() {
    Runner::new().unwrap().run(async { on_one_loop().unwrap() });
}
