//! What may be sent and shared.

use asyncio_runtime::{EventLoop, NoEventLoop, Runner};
use static_assertions::{assert_impl_all, assert_not_impl_any};

assert_impl_all!(EventLoop: Send, Sync, Clone);
assert_impl_all!(NoEventLoop: std::error::Error, Send, Sync);
assert_not_impl_any!(Runner: Send, Sync);
