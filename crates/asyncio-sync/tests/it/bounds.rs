//! `Send`, `Sync` and `Unpin` of every type, for values that are both, only `Send`, only `Sync`, or neither: the class of RUSTSEC-2020-0059, 0062, 0070,
//! 0072, 0106, 0111, 0124, 0126, 0151, 2025-0023 and 2026-0221.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::{Arc, MutexGuard as StdGuard};

use asyncio_sync::{
    Barrier, Condition, ConditionGuard, Event, Lazy, LifoQueue, Mutex, MutexGuard, OnceCell, OwnedMutexGuard,
    OwnedPermit, OwnedRwLockReadGuard, OwnedRwLockUpgradableReadGuard, OwnedRwLockWriteGuard, Permit,
    PriorityQueue, Queue, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, Semaphore,
    broadcast, channel, oneshot, watch,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

type Both = u32;
type OnlySend = Cell<u32>;
type OnlySync = StdGuard<'static, u32>;
type Neither = Rc<u32>;

/// The value of a channel whose values are cloned.
type NeitherToo = PhantomData<*const ()>;

/// In which of the four cases a type is `Send`, and in which it is `Sync`.
macro_rules! table {
    ($($type:ident: Send for [$($send:ident)*] not [$($no_send:ident)*], Sync for [$($sync:ident)*] not [$($no_sync:ident)*];)*) => {$(
        $(assert_impl_all!($type<$send>: Send);)*
        $(assert_not_impl_any!($type<$no_send>: Send);)*
        $(assert_impl_all!($type<$sync>: Sync);)*
        $(assert_not_impl_any!($type<$no_sync>: Sync);)*
    )*};
}

type Guard<T> = MutexGuard<'static, T>;
type ReadGuard<T> = RwLockReadGuard<'static, T>;
type WriteGuard<T> = RwLockWriteGuard<'static, T>;
type UpgradableGuard<T> = RwLockUpgradableReadGuard<'static, T>;
type WaitingGuard<T> = ConditionGuard<'static, T>;
type OneshotSender<T> = oneshot::Sender<T>;
type OneshotReceiver<T> = oneshot::Receiver<T>;
type ChannelSender<T> = channel::Sender<T>;
type ChannelReceiver<T> = channel::Receiver<T>;
type WeakSender<T> = channel::WeakSender<T>;
type WeakReceiver<T> = channel::WeakReceiver<T>;
type ChannelSlot<T> = channel::Slot<'static, T>;
type BroadcastSender<T> = broadcast::Sender<T>;
type BroadcastReceiver<T> = broadcast::Receiver<T>;
type WatchSender<T> = watch::Sender<T>;
type WatchReceiver<T> = watch::Receiver<T>;
type LazyValue<T> = Lazy<T, fn() -> std::future::Ready<T>>;

table! {
    // Whoever locks has a `&mut`.
    Mutex: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    Condition: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    Guard: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    OwnedMutexGuard: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    WaitingGuard: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    // Readers on several threads have a `&` each.
    RwLock: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    ReadGuard: Send for [Both] not [OnlySend OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    WriteGuard: Send for [Both] not [OnlySend OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    UpgradableGuard: Send for [Both] not [OnlySend OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    OwnedRwLockReadGuard: Send for [Both] not [OnlySend OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    OwnedRwLockWriteGuard: Send for [Both] not [OnlySend OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    OwnedRwLockUpgradableReadGuard: Send for [Both] not [OnlySend OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    // Whoever asks has a `&`, and the value may have been made elsewhere.
    OnceCell: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    LazyValue: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    // Values only pass through.
    OneshotSender: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    OneshotReceiver: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    ChannelSender: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    ChannelReceiver: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    WeakSender: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    WeakReceiver: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    ChannelSlot: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    Queue: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    LifoQueue: Send for [Both OnlySend] not [OnlySync Neither], Sync for [Both OnlySend] not [OnlySync Neither];
    PriorityQueue: Send for [Both] not [Neither], Sync for [Both] not [Neither];
    // Several clone one value at the same time.
    BroadcastSender: Send for [Both] not [OnlySend OnlySync Neither NeitherToo], Sync for [Both] not [OnlySend OnlySync Neither NeitherToo];
    BroadcastReceiver: Send for [Both] not [OnlySend OnlySync Neither NeitherToo], Sync for [Both] not [OnlySend OnlySync Neither NeitherToo];
    // Several look at one value at the same time.
    WatchSender: Send for [Both] not [OnlySend OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
    WatchReceiver: Send for [Both] not [OnlySend OnlySync Neither], Sync for [Both] not [OnlySend OnlySync Neither];
}

assert_impl_all!(Semaphore: Send, Sync, Unpin);
assert_impl_all!(Permit<'static>: Send, Sync, Unpin);
assert_impl_all!(OwnedPermit: Send, Sync, Unpin);
assert_impl_all!(Event: Send, Sync, Unpin);
assert_impl_all!(Barrier: Send, Sync, Unpin);
// Handles are passed around by `&mut`, and awaited by reference.
assert_impl_all!(oneshot::Receiver<u32>: Unpin);
assert_impl_all!(channel::Receiver<u32>: Unpin);
assert_impl_all!(channel::Sender<u32>: Unpin);
assert_impl_all!(Arc<Mutex<u32>>: Send, Sync);
// A look at a value is for one thread: std's lock must be given back where it was taken.
assert_not_impl_any!(watch::Ref<'static, u32>: Send);

fn send<T: Send>(value: T) -> T {
    value
}

/// A future that waits lies in a line by its address.
trait Ambiguous<A> {
    fn check() {}
}
impl<T: ?Sized> Ambiguous<()> for T {}
impl<T: ?Sized + Unpin> Ambiguous<u8> for T {}

fn is_not_unpin<T>(_: &T) {
    // Does not compile if `T` is `Unpin`, since both implementations fit then.
    let _ = <T as Ambiguous<_>>::check;
}

#[test]
fn the_futures_can_move_between_threads_and_not_in_memory() {
    let mutex = Mutex::new(Cell::new(0));
    let event = Event::new();
    let (sender, receiver) = asyncio_sync::channel::<Cell<u8>>(1);
    is_not_unpin(&send(mutex.lock()));
    is_not_unpin(&send(event.wait()));
    is_not_unpin(&send(sender.send(Cell::new(1))));
    is_not_unpin(&send(receiver.recv()));
    is_not_unpin(&send(Semaphore::new(1).acquire()));
}
