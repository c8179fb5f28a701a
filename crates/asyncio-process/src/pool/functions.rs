//! [`Functions`]: what a worker process can run, and how it becomes one.

use std::any::{TypeId, type_name};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use asyncio_base::panic::into_message;
use asyncio_base::shim::{AtomicBool, Ordering};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{Answer, decode, encode};
use super::worker;

/// Runs one, from the bytes of its argument to the bytes of what it returns.
type Run = Box<dyn Fn(&[u8]) -> Answer + Send + Sync>;

/// The functions that the workers of a [`ProcessPool`](super::ProcessPool) can run.
///
/// A worker is this very program, started once more. So it has the same functions, and knows each by its name: the whole path, as [`type_name`] has it. A function
/// takes one argument, which may be a tuple, and both it and what it returns go by serde.
///
/// # Examples
///
/// See [`ProcessPool`](super::ProcessPool).
#[derive(Default)]
pub struct Functions {
    by_name: BTreeMap<&'static str, Run>,
    /// The name of each, which is not always its own: all closures of one function have the same.
    names: HashMap<TypeId, &'static str>,
}

/// This process has entered: so its workers, which are the same program, will.
static HAS_ENTERED: AtomicBool = AtomicBool::new(false);

impl Functions {
    /// Has none yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function, or a closure that captures nothing.
    ///
    /// # Panics
    ///
    /// Panics for a closure that captures something, which would not be there in another process, and for a second one of the same name: closures of one function
    /// share theirs, so give it a name of its own.
    #[must_use = "it is in what is returned"]
    #[track_caller]
    pub fn with<F, A, R>(mut self, f: F) -> Self
    where
        F: Fn(A) -> R + Send + Sync + 'static,
        A: DeserializeOwned,
        R: Serialize,
    {
        let name = type_name::<F>();
        assert!(size_of::<F>() == 0, "`{name}` captures something, which another process does not have");
        let run = move |argument: &[u8]| {
            let argument = match decode::<A>(argument) {
                Ok(argument) => argument,
                Err(error) => return Answer::Encoding(format!("its argument cannot be read: {error}")),
            };
            match catch_unwind(AssertUnwindSafe(|| f(argument))) {
                Ok(returned) => match encode(&returned) {
                    Ok(bytes) => Answer::Returned(bytes),
                    Err(error) => Answer::Encoding(format!("what it returned cannot be sent: {error}")),
                },
                Err(payload) => Answer::Panicked(into_message(payload)),
            }
        };
        let former = self.by_name.insert(name, Box::new(run));
        assert!(former.is_none(), "there is one named `{name}` already");
        self.names.insert(TypeId::of::<F>(), name);
        self
    }

    /// Where this process is a worker: runs calls until its pool has no more, and ends the process. Anywhere else it returns at once.
    ///
    /// To be called early in `main`: what is before that is done by every worker, too. A program has one set of functions, which all of its pools are made of: the first
    /// that enters serves.
    #[must_use = "the pool is made of them"]
    pub fn enter(self) -> Self {
        worker::serve_if_worker(&self);
        // Relaxed: whoever starts a worker does so after this.
        HAS_ENTERED.store(true, Ordering::Relaxed);
        self
    }

    /// Whether a worker of this program would become one. Where nobody enters, it would do what this process does, and start workers of its own.
    pub(super) fn have_entered() -> bool {
        HAS_ENTERED.load(Ordering::Relaxed)
    }

    /// The name of a function that is among these.
    pub(super) fn name_of<F: 'static>(&self) -> Option<&'static str> {
        self.names.get(&TypeId::of::<F>()).copied()
    }

    pub(super) fn run(&self, name: &str, argument: &[u8]) -> Answer {
        match self.by_name.get(name) {
            Some(run) => run(argument),
            None => Answer::Encoding(format!("the worker has no function `{name}`")),
        }
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}
