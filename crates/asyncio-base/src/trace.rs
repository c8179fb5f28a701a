//! Logging that vanishes when it is off: events, and a span for each task.
//!
//! With the feature `tracing` these are that crate's; without it [`debug!`](debug) expands to nothing, but still checks its arguments, and a
//! [`TaskSpan`] has no size. No call site has a `cfg`.
//!
//! Targets are `asyncio::LAYER`, that of reports is `asyncio::report`, so that a filter such as `asyncio=debug` catches all. Levels: WARN is what a
//! [report](crate::report) says; DEBUG is what comes once in the life of a task, a connection, a child, a loop.

#[doc(inline)]
pub use crate::__debug as debug;

pub use imp::{Entered, TaskSpan, hears_warnings, warn};

/// What is known of a task when its span is made.
#[derive(Debug)]
pub struct Described {
    /// Its number.
    pub id: u64,
    /// Its name, if it has one.
    pub name: Option<Box<str>>,
    /// Where it was spawned.
    pub spawned_at: &'static std::panic::Location<'static>,
}

#[doc(hidden)]
#[cfg(feature = "tracing")]
pub use imp::tracing;

#[cfg(feature = "tracing")]
mod imp {
    #[doc(hidden)]
    pub use tracing;

    use super::Described;

    /// Logs at debug level: the layer, and what happened.
    #[macro_export]
    #[doc(hidden)]
    macro_rules! __debug {
        ($layer:literal, $($argument:tt)+) => {
            $crate::trace::tracing::event!(
                target: concat!("asyncio::", $layer),
                $crate::trace::tracing::Level::DEBUG,
                $($argument)+
            )
        };
    }

    /// Logs at warn level what is reported.
    pub fn warn(layer: &'static str, task: Option<u64>, message: std::fmt::Arguments<'_>) {
        tracing::event!(target: "asyncio::report", tracing::Level::WARN, layer, task, "{message}");
    }

    /// Says whether somebody on this thread listens to what [`warn`] logs.
    pub fn hears_warnings() -> bool {
        tracing::event_enabled!(target: "asyncio::report", tracing::Level::WARN)
    }

    /// The span of a task: entered for each poll, and while its future is dropped. It is made at the first one, when the task has its number.
    #[derive(Debug, Default)]
    pub struct TaskSpan {
        span: Option<tracing::Span>,
    }

    /// While it lives, its span is entered on this thread.
    #[derive(Debug)]
    pub struct Entered<'a> {
        _entered: tracing::span::Entered<'a>,
    }

    impl TaskSpan {
        /// Makes one of a task that has not been polled.
        pub const fn new() -> Self {
            Self { span: None }
        }

        /// Enters the span, which says of the task what `describe` does.
        pub fn enter(&mut self, describe: impl FnOnce() -> Option<Described>) -> Entered<'_> {
            let span = self.span.get_or_insert_with(|| describe().map_or_else(tracing::Span::none, span_of));
            Entered { _entered: span.enter() }
        }
    }

    fn span_of(task: Described) -> tracing::Span {
        tracing::debug_span!(
            target: "asyncio::tasks",
            "task",
            id = task.id,
            name = task.name.as_deref(),
            spawned_at = %task.spawned_at,
        )
    }
}

#[cfg(not(feature = "tracing"))]
mod imp {
    use std::marker::PhantomData;

    use super::Described;

    /// Logs at debug level: the layer, and what happened.
    #[macro_export]
    #[doc(hidden)]
    macro_rules! __debug {
        ($layer:literal, $($argument:tt)+) => {
            if false {
                let _ = ::core::format_args!($($argument)+);
            }
        };
    }

    /// Logs at warn level what is reported.
    pub fn warn(_layer: &'static str, _task: Option<u64>, _message: std::fmt::Arguments<'_>) {}

    /// Says whether somebody on this thread listens to what [`warn`] logs.
    pub fn hears_warnings() -> bool {
        false
    }

    /// The span of a task: nothing, without the feature `tracing`.
    #[derive(Debug, Default)]
    pub struct TaskSpan;

    /// While it lives, its span is entered on this thread.
    #[derive(Debug)]
    pub struct Entered<'a>(PhantomData<&'a ()>);

    impl TaskSpan {
        /// Makes one of a task that has not been polled.
        pub const fn new() -> Self {
            Self
        }

        /// Enters the span, which says of the task what `describe` does.
        #[inline(always)]
        pub fn enter(&mut self, _describe: impl FnOnce() -> Option<Described>) -> Entered<'_> {
            Entered(PhantomData)
        }
    }
}
