//! The wheel against a naive model, seeded, at many ages of the process.

use asyncio_timers::{DEFAULT_TICK, Key, Wheel};
use std::collections::BTreeMap;
use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood, 2014): small, and the same on every platform.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Deadlines by (deadline, sequence): what the wheel must do, by the plainest means.
struct Model {
    tick: u64,
    now: u64,
    sequence: u64,
    waiting: BTreeMap<(u64, u64), Key>,
}

impl Model {
    fn tick_up(&self, deadline: u64) -> u128 {
        u128::from(deadline).div_ceil(u128::from(self.tick))
    }

    fn is_due(&self, deadline: u64) -> bool {
        self.tick_up(deadline) <= u128::from(self.now / self.tick)
    }

    fn advance(&mut self, now: u64) -> Vec<(u64, u64)> {
        self.now = self.now.max(now);
        let due: Vec<_> =
            self.waiting.keys().copied().filter(|&(deadline, _)| self.is_due(deadline)).collect();
        for id in &due {
            self.waiting.remove(id);
        }
        due
    }
}

/// Runs random operations on both; `start` is the age of the process.
fn check(seed: u64, tick: Duration, start: u64, span: u64, operations: u32) {
    let mut random = Random(seed);
    let mut wheel = Wheel::new(tick);
    let mut model = Model { tick: tick.as_nanos() as u64, now: 0, sequence: 0, waiting: BTreeMap::new() };
    wheel.advance(start, &mut Vec::new());
    model.advance(start);
    // Something far away always stays, as in tokio #8334.
    let resident = wheel.insert(u64::MAX, (u64::MAX, u64::MAX)).unwrap();
    let context = format!("seed {seed}, tick {tick:?}, start {start}, span {span}");

    for _ in 0..operations {
        match random.below(10) {
            0..=4 => {
                let corner =
                    [0, 1, 63, 64, 65, 4095, 4096, 4097, u64::from(u32::MAX)][random.below(9) as usize];
                let after = if random.below(3) == 0 { corner << 16 } else { random.below(span) };
                let deadline = model.now.saturating_add(after);
                let id = (deadline, model.sequence);
                match wheel.insert(deadline, id) {
                    Ok(key) => {
                        assert!(!model.is_due(deadline), "{context}: a due deadline was kept");
                        model.waiting.insert(id, key);
                        model.sequence += 1;
                    }
                    Err(returned) => {
                        assert_eq!(returned, id);
                        assert!(model.is_due(deadline), "{context}: a deadline ahead was refused");
                    }
                }
            }
            5..=6 => {
                let nth = random.below(model.waiting.len() as u64 + 1) as usize;
                if let Some((&id, &key)) = model.waiting.iter().nth(nth) {
                    assert_eq!(wheel.remove(key), Some(id), "{context}");
                    assert_eq!(wheel.remove(key), None, "{context}: a key outlived its entry");
                    model.waiting.remove(&id);
                }
            }
            _ => {
                let now = model.now.saturating_add(random.below(span / 2 + 1));
                let mut fired = Vec::new();
                wheel.advance(now, &mut fired);
                let expected = model.advance(now);
                // Between ticks the order is that of ticks; inside one, of deadlines; ties, of insertion.
                assert_eq!(fired, expected, "{context}");
                for (deadline, _) in fired {
                    assert!(deadline <= now, "{context}: fired early");
                }
            }
        }
        assert_eq!(wheel.len(), model.waiting.len() + 1, "{context}");
        let next = wheel.next_deadline().unwrap();
        if let Some(&(first, _)) = model.waiting.keys().next() {
            assert!(
                u128::from(next) < u128::from(first) + u128::from(model.tick),
                "{context}: next deadline too late"
            );
        }
        assert!(next > model.now || next == u64::MAX, "{context}: a deadline that is over is a busy loop");
    }
    assert!(wheel.remove(resident).is_some(), "{context}");
}

const DAY: u64 = 86_400_000_000_000;

#[test]
fn agrees_with_the_model_at_every_age() {
    let ages = [
        0,
        1 << 16,
        (1 << 30) * 1_000_000 - 10,
        12 * DAY,
        25 * DAY,
        50 * DAY,
        3650 * DAY,
        1 << 63,
        u64::MAX - DAY,
    ];
    for (n, &start) in ages.iter().enumerate() {
        for (m, span) in [1 << 17, 1 << 24, 1 << 34, DAY, 400 * DAY].into_iter().enumerate() {
            check((n * 10 + m) as u64, DEFAULT_TICK, start, span, 600);
        }
    }
}

#[test]
fn agrees_with_the_model_at_every_tick() {
    for shift in [0, 4, 10, 16, 17, 20, 30] {
        check(1000 + shift, Duration::from_nanos(1 << shift), 77 << shift, 1 << (shift + 12), 2000);
    }
}

#[test]
fn equal_deadlines_fire_in_order_of_insertion_across_levels() {
    let mut wheel = Wheel::new(DEFAULT_TICK);
    let deadline = 10_000_000_000;
    let mut fired = Vec::new();
    for n in 0..100 {
        wheel.insert(deadline, n).unwrap();
        wheel.advance((n + 1) * 99_000_000, &mut fired);
    }
    assert!(fired.is_empty());
    wheel.advance(deadline + 100_000, &mut fired);
    assert_eq!(fired, (0..100).collect::<Vec<_>>());
}

#[test]
fn time_that_goes_back_changes_nothing() {
    let mut wheel = Wheel::new(DEFAULT_TICK);
    let mut fired = Vec::new();
    wheel.insert(5_000_000, 'a').unwrap();
    wheel.advance(4_000_000, &mut fired);
    wheel.advance(1_000_000, &mut fired);
    assert!(fired.is_empty());
    assert_eq!(wheel.insert(3_000_000, 'b'), Err('b'), "the present did not go back");
    wheel.advance(5_100_000, &mut fired);
    assert_eq!(fired, ['a']);
}

#[test]
fn a_key_never_reaches_the_next_entry_in_its_place() {
    let mut wheel = Wheel::new(DEFAULT_TICK);
    let old = wheel.insert(1_000_000, 1).unwrap();
    wheel.remove(old);
    let new = wheel.insert(1_000_000, 2).unwrap();
    assert_eq!(wheel.remove(old), None);
    assert_eq!(wheel.get_mut(old), None);
    assert_eq!(wheel.remove(new), Some(2));
}

#[test]
fn drain_takes_every_value_once() {
    let mut wheel = Wheel::new(DEFAULT_TICK);
    let keys: Vec<_> = (1..=100_u64).map(|n| wheel.insert(n << 20, n).unwrap()).collect();
    wheel.remove(keys[7]);
    let mut values = wheel.drain();
    values.sort_unstable();
    assert_eq!(values, (1..=100).filter(|&n| n != 8).collect::<Vec<_>>());
    assert!(wheel.is_empty());
    assert_eq!(wheel.next_deadline(), None);
}
