//! What is done to the scope in which this thread is: closers are registered, and it is asked whether it is cancelled.

use super::closer::{Batch, Closer};
use super::current::{self, Frame};
use crate::cleanup;

/// Has a closer started now, beside the body of the current scope.
pub(crate) fn start(closer: Closer) {
    if let Some(closer) = register(closer, |frame, closer| frame.place.start(closer)) {
        cleanup::adopt(vec![Batch::of(vec![closer])]);
    }
}

/// Has a closer started when the body of the current scope has ended.
pub(crate) fn defer(closer: Closer) {
    let outermost = |frame: &Frame<'_>, closer| {
        let mut frame = frame;
        while let (true, Some(outer)) = (frame.passes_deferred(), frame.outer) {
            frame = outer;
        }
        frame.place.defer(closer);
    };
    if let Some(closer) = register(closer, outermost) {
        cleanup::adopt(vec![Batch::of(vec![closer])]);
    }
}

/// Runs a poll of clean-up that is a part of the body: no cancellation enters it.
pub(crate) fn shielded<R>(poll: impl FnOnce() -> R) -> R {
    current::with(|frame| {
        let frame = frame.map(Frame::in_clean_up);
        let _entered = frame.as_ref().map(Frame::enter);
        poll()
    })
}

/// Gives the closer back where there is no scope.
fn register(closer: Closer, how: impl FnOnce(&Frame<'_>, Closer)) -> Option<Closer> {
    current::with(|frame| match frame {
        Some(frame) => {
            how(frame, closer);
            None
        }
        None => Some(closer),
    })
}

/// Says whether the current scope, or one around it, is cancelled.
pub(crate) fn is_cancelled() -> bool {
    current::with(|frame| frame.is_some_and(Frame::is_cancelled))
}
