//! [`Failures`]: what went wrong in a group.

use std::any::Any;
use std::error::Error;
use std::io;

use asyncio_base::panic::{Payload, discard};
use asyncio_base::shim::Mutex;

use crate::error::TaskError;

/// What went wrong, in the order of failure.
pub(super) struct Failures<E> {
    kept: Mutex<Kept<E>>,
}

pub(super) struct Kept<E> {
    pub(super) errors: Vec<E>,
    /// The first one.
    pub(super) panic: Option<Payload>,
}

impl<E> Default for Kept<E> {
    fn default() -> Self {
        Self { errors: Vec::new(), panic: None }
    }
}

impl<E> Default for Failures<E> {
    fn default() -> Self {
        Self { kept: Mutex::new(Kept::default()) }
    }
}

impl<E> Failures<E> {
    pub(super) fn add(&self, error: E) {
        self.kept.lock().errors.push(error);
    }

    /// The first panic is kept.
    pub(super) fn keep(&self, payload: Payload) {
        let surplus = {
            let mut kept = self.kept.lock();
            match kept.panic {
                None => kept.panic.replace(payload),
                Some(_) => Some(payload),
            }
        };
        surplus.into_iter().for_each(discard);
    }

    pub(super) fn take(&self) -> Kept<E> {
        std::mem::take(&mut *self.kept.lock())
    }
}

impl<E: 'static> Failures<E> {
    /// The body has failed. If that is no more than what it was told of a child's failure, the error is here already.
    pub(super) fn add_of_body(&self, error: E) {
        let is_echo = is_echo(&error);
        let surplus = {
            let mut kept = self.kept.lock();
            if is_echo && (!kept.errors.is_empty() || kept.panic.is_some()) {
                Some(error)
            } else {
                kept.errors.push(error);
                None
            }
        };
        drop(surplus);
    }
}

/// Says whether an error is what the handle of a child says that failed, or was cancelled: as itself, or in one of the usual clothes.
fn is_echo<E: 'static>(error: &E) -> bool {
    let error: &dyn Any = error;
    let of_task = if let Some(error) = error.downcast_ref::<io::Error>() {
        error.get_ref().and_then(|inner| inner.downcast_ref::<TaskError>())
    } else if let Some(error) = error.downcast_ref::<Box<dyn Error + Send + Sync>>() {
        error.downcast_ref::<TaskError>()
    } else {
        error.downcast_ref::<TaskError>()
    };
    of_task.is_some_and(|error| error.is_in_group() || error.is_cancelled())
}
