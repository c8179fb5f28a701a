//! The trees: what a random program does.

use std::sync::Arc;

/// A step of a program. All times are milliseconds.
#[derive(Debug)]
pub(crate) enum Tree {
    Ready,
    Yield,
    Sleep(u64),
    /// Waits for ever. Not where nothing would end it.
    Pending,
    Panic,
    /// Ends what is around by `?`.
    Error,
    /// One after the other.
    Sequence(Vec<Arc<Tree>>),
    /// Keeps a guard over the body.
    Guard {
        closer: Arc<Tree>,
        is_local: bool,
        body: Arc<Tree>,
    },
    /// Drops a guard at once.
    DropGuard {
        closer: Arc<Tree>,
    },
    Defer {
        closer: Arc<Tree>,
        is_local: bool,
    },
    Finish {
        closer: Arc<Tree>,
    },
    Timeout(u64, Arc<Tree>),
    CancelScope {
        at: Option<u64>,
        body: Arc<Tree>,
    },
    Shield(Arc<Tree>),
    Race(Arc<Tree>, Arc<Tree>),
    Join(Arc<Tree>, Arc<Tree>),
    TryJoin(Arc<Tree>, Arc<Tree>),
    /// Another crate's `select`.
    Select(Arc<Tree>, Arc<Tree>),
    /// Another crate's set, whose parts have wakers of their own.
    Unordered(Vec<Arc<Tree>>),
    Task {
        is_local: bool,
        cancelled_at: Option<u64>,
        body: Arc<Tree>,
    },
    Group(Group),
    /// Children that may borrow.
    Scope {
        children: Vec<Arc<Tree>>,
        body: Arc<Tree>,
        /// The body waits for their outputs.
        awaits: bool,
    },
}

/// A group of tasks.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) keeps_going: bool,
    pub(crate) limit: Option<usize>,
    pub(crate) cancelled_at: Option<u64>,
    pub(crate) is_local: bool,
    /// The body waits for a place before it spawns.
    pub(crate) waits_for_room: bool,
    /// The body waits for the tasks, besides the group.
    pub(crate) awaits: bool,
    pub(crate) children: Vec<Arc<Tree>>,
    pub(crate) body: Arc<Tree>,
}

/// A generator of numbers that is the same everywhere: xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut this = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1);
        (0..4).for_each(|_| _ = this.next());
        this
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }
}

/// What may stand in a place.
#[derive(Clone, Copy)]
struct Where {
    depth: u32,
    /// Something around ends it if it waits for ever.
    is_bounded: bool,
    /// It is clean-up: its panics are reports, and its guards and tasks are left out.
    is_closer: bool,
}

impl Tree {
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let place = Where { depth: 5, is_bounded: true, is_closer: false };
        Self::sequence(&mut random, place)
    }

    fn sequence(random: &mut Random, place: Where) -> Self {
        let count = 1 + random.below(3);
        Self::Sequence((0..count).map(|_| Arc::new(Self::any(random, place))).collect())
    }

    fn closer(random: &mut Random, place: Where) -> Arc<Self> {
        let place = Where { depth: place.depth.min(2), is_bounded: false, is_closer: true };
        Arc::new(Self::any(random, place))
    }

    fn any(random: &mut Random, place: Where) -> Self {
        let inner = Where { depth: place.depth.saturating_sub(1), ..place };
        let body = |random: &mut Random| Arc::new(Self::sequence(random, inner));
        let kinds = if place.depth == 0 { 12 } else { 45 };
        match random.below(kinds) {
            0..=2 => Self::Ready,
            3..=5 => Self::Yield,
            6..=8 => Self::Sleep(1 + random.below(30)),
            9 if place.is_bounded => Self::Pending,
            10 if !place.is_closer && random.below(3) == 0 => Self::Panic,
            11 => Self::Error,
            12..=15 if !place.is_closer => {
                let closer = Self::closer(random, place);
                Self::Guard { closer, is_local: random.below(3) == 0, body: body(random) }
            }
            16..=17 if !place.is_closer => Self::DropGuard { closer: Self::closer(random, place) },
            18..=19 if !place.is_closer => {
                Self::Defer { closer: Self::closer(random, place), is_local: random.below(3) == 0 }
            }
            20 if !place.is_closer => Self::Finish { closer: Self::closer(random, place) },
            21..=23 => {
                let inner = Where { is_bounded: true, ..inner };
                Self::Timeout(random.below(40), Arc::new(Self::sequence(random, inner)))
            }
            24..=26 => {
                let at = (random.below(2) == 0).then(|| random.below(40));
                let inner = Where { is_bounded: place.is_bounded || at.is_some(), ..inner };
                Self::CancelScope { at, body: Arc::new(Self::sequence(random, inner)) }
            }
            27..=28 => Self::Shield(Arc::new(Self::sequence(random, Where { is_bounded: false, ..inner }))),
            29..=30 => Self::Race(body(random), body(random)),
            31..=32 => Self::Join(body(random), body(random)),
            33 => Self::TryJoin(body(random), body(random)),
            34 => Self::Select(body(random), body(random)),
            35 => Self::Unordered((0..1 + random.below(3)).map(|_| body(random)).collect()),
            36..=38 if !place.is_closer => {
                let cancelled_at = (random.below(2) == 0).then(|| random.below(40));
                // A task is not dropped with whoever awaits it: it must end by itself.
                let inner = Where { is_bounded: cancelled_at.is_some(), ..inner };
                let body = Arc::new(Self::sequence(random, inner));
                Self::Task { is_local: random.below(2) == 0, cancelled_at, body }
            }
            39..=41 if !place.is_closer => Self::group(random, place),
            42..=43 => Self::Scope {
                children: (0..1 + random.below(3)).map(|_| body(random)).collect(),
                body: body(random),
                awaits: random.below(2) == 0,
            },
            _ => Self::Sleep(random.below(5)),
        }
    }

    fn group(random: &mut Random, place: Where) -> Self {
        let cancelled_at = (random.below(3) == 0).then(|| random.below(40));
        let inner = Where {
            depth: place.depth.saturating_sub(1),
            is_bounded: place.is_bounded || cancelled_at.is_some(),
            ..place
        };
        let child = |random: &mut Random| Arc::new(Self::sequence(random, inner));
        Self::Group(Group {
            keeps_going: random.below(3) == 0,
            limit: (random.below(3) == 0).then(|| 1 + random.below(2) as usize),
            cancelled_at,
            is_local: random.below(2) == 0,
            waits_for_room: random.below(3) == 0,
            awaits: random.below(2) == 0,
            children: (0..1 + random.below(3)).map(|_| child(random)).collect(),
            body: child(random),
        })
    }
}
