//! Logging that vanishes when it is off.
//!
//! With the feature `tracing` these macros are that crate's; without it they expand to nothing, but still check their
//! arguments. No call site has a `cfg`.

/// Logs at debug level.
#[macro_export]
#[doc(hidden)]
macro_rules! __debug {
    ($($argument:tt)+) => { $crate::trace::event!(DEBUG, $($argument)+) };
}

/// Logs at warn level.
#[macro_export]
#[doc(hidden)]
macro_rules! __warn {
    ($($argument:tt)+) => { $crate::trace::event!(WARN, $($argument)+) };
}

#[cfg(feature = "tracing")]
mod imp {
    #[doc(hidden)]
    pub use tracing;

    #[macro_export]
    #[doc(hidden)]
    macro_rules! __event {
        ($level:ident, $($argument:tt)+) => {
            $crate::trace::tracing::event!($crate::trace::tracing::Level::$level, $($argument)+)
        };
    }
}

#[cfg(not(feature = "tracing"))]
mod imp {
    #[macro_export]
    #[doc(hidden)]
    macro_rules! __event {
        ($level:ident, $($argument:tt)+) => {
            if false {
                let _ = ::core::format_args!($($argument)+);
            }
        };
    }
}

#[doc(hidden)]
#[cfg(feature = "tracing")]
pub use imp::tracing;

#[doc(inline)]
pub use {crate::__debug as debug, crate::__event as event, crate::__warn as warn};
