//! The executor alone: ants on a grid, each a task, each round a step of the world. No loop, no clock, no socket.
//!
//! `cargo run --release --package executor_only`

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use asyncio_executor::{LocalExecutor, SeededRandom, TaskOptions};

type Grid = Rc<RefCell<HashMap<(i32, i32), usize>>>;

/// Waits for the next round: the world's next step.
async fn next_step() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Walks right until it meets somebody, then down.
async fn ant(grid: Grid, number: usize, steps: usize) -> (i32, i32) {
    let (mut x, mut y) = (number as i32 % 10, number as i32 / 10);
    grid.borrow_mut().insert((x, y), number);
    for _ in 0..steps {
        next_step().await;
        let mut grid = grid.borrow_mut();
        let wanted = if grid.contains_key(&(x + 1, y)) { (x, y + 1) } else { (x + 1, y) };
        if let std::collections::hash_map::Entry::Vacant(place) = grid.entry(wanted) {
            place.insert(number);
            grid.remove(&(x, y));
            (x, y) = wanted;
        }
    }
    (x, y)
}

fn world(executor: LocalExecutor) -> (usize, usize) {
    let grid = Grid::default();
    let ants: Vec<_> = (0..100)
        .map(|number| executor.spawn_with(TaskOptions::here().name("ant"), ant(grid.clone(), number, 50)))
        .collect();
    let mut rounds = 0;
    let _entered = executor.enter();
    while executor.run_round() > 0 {
        rounds += 1;
    }
    assert!(ants.iter().all(|ant| ant.is_finished()));
    assert_eq!(grid.borrow().len(), 100, "nobody stands on somebody else");
    (rounds, grid.borrow().keys().filter(|(x, _)| *x > 30).count())
}

fn main() {
    let (rounds, far) = world(LocalExecutor::new(Waker::noop().clone()));
    println!("in order: {rounds} rounds, {far} ants came far");
    assert_eq!(rounds, 51);
    let random = || world(LocalExecutor::with_schedule(Waker::noop().clone(), SeededRandom::new(7)));
    println!("in a random order: {:?}", random());
    assert_eq!(random(), random(), "the same seed, the same world");
}
