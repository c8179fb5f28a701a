//! [`Lazy`]: a value that knows how it is made.

use std::fmt;
use std::future::Future;

use crate::once_cell::OnceCell;

/// A value that is made at its first use, by an `async` function that is given beforehand.
///
/// When to use it: for a `static` that needs an `await` to be made. When not: where making it may fail, or needs arguments:
/// [`OnceCell`]; where it needs no `await`, [`std::sync::LazyLock`].
///
/// # Examples
///
/// ```
/// use asyncio_sync::Lazy;
/// # futures_lite::future::block_on(async {
/// let answer = Lazy::new(async || 6 * 7);
/// assert_eq!(answer.try_get(), None);
/// assert_eq!(*answer.get().await, 42);
/// # });
/// ```
pub struct Lazy<T, F> {
    cell: OnceCell<T>,
    make: F,
}

impl<T, F> Lazy<T, F> {
    const_unless_modelled! {
        /// Makes a value that will be made by `make`: once, unless that is dropped midway or panics, when it is called again.
        pub fn new(make: F) -> Self {
            Self { cell: OnceCell::new(), make }
        }
    }

    /// Returns the value, if it is made.
    pub fn try_get(&self) -> Option<&T> {
        self.cell.get()
    }
}

impl<T, Fut: Future<Output = T>, F: Fn() -> Fut> Lazy<T, F> {
    /// Returns the value, and makes it if this is its first use.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it makes the value, it drops what it has made of it; the next who waits begins anew.
    pub async fn get(&self) -> &T {
        self.cell.get_or_init(&self.make).await
    }
}

impl<T: fmt::Debug, F> fmt::Debug for Lazy<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy").field("value", &self.cell.get()).finish_non_exhaustive()
    }
}
