//! Where a panic was; and silence about those that are looked for.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    static LAST_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Has panics of simulated hosts remembered with their places. What there was of a hook before is still called.
pub(crate) fn watch() {
    HOOK.call_once(|| {
        let former = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
            let _ = LAST_PLACE.try_with(|last| *last.borrow_mut() = place);
            if !IS_QUIET.try_with(Cell::get).unwrap_or(false) {
                former(info);
            }
        }));
    });
}

/// While it lives, panics of this thread are not printed.
pub(crate) struct Quiet(bool);

pub(crate) fn quiet(is_quiet: bool) -> Quiet {
    Quiet(IS_QUIET.replace(is_quiet))
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = IS_QUIET.try_with(|is_quiet| is_quiet.set(self.0));
    }
}

/// Puts the place of this thread's last panic before its message.
pub(crate) fn with_place(message: String) -> String {
    match LAST_PLACE.with(|last| last.borrow_mut().take()) {
        Some(place) => format!("{place}: {message}"),
        None => message,
    }
}
