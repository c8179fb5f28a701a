//! [`const_unless_modelled!`]: constructors that are `const`, but under loom and shuttle.

/// Declares a function as `const`, so that a primitive may be a `static`. The model checkers register an atomic where it is made, and
/// cannot do that in a constant.
macro_rules! const_unless_modelled {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $body:block) => {
        #[cfg(not(any(loom, shuttle)))]
        $(#[$attribute])*
        $visibility const fn $name($($argument: $type),*) -> $output $body

        #[cfg(any(loom, shuttle))]
        $(#[$attribute])*
        $visibility fn $name($($argument: $type),*) -> $output $body
    };
}
