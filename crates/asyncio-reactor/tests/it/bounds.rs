//! What may be sent and shared.

use asyncio_reactor::{IoState, OsSocket, Reactor, Readiness, Selector, SelectorReactor, Socket, Waiter};
use static_assertions::assert_impl_all;

assert_impl_all!(SelectorReactor: Send, Sync);
assert_impl_all!(OsSocket: Send, Sync, Unpin);
assert_impl_all!(Waiter: Send, Sync, Unpin);
assert_impl_all!(IoState: Send, Sync);
assert_impl_all!(dyn Socket: Send, Sync);
assert_impl_all!(dyn Reactor: Send, Sync);
assert_impl_all!(dyn Selector: Send, Sync);
assert_impl_all!(Readiness: Send, Sync);
