//! What the workloads need of a library, and each library as that.

use std::future::Future;
use std::ops::DerefMut;

/// A lock around a number.
pub trait Mutex: Send + Sync + 'static {
    type Guard<'a>: DerefMut<Target = u64> + Send;
    fn new() -> Self;
    fn lock(&self) -> impl Future<Output = Self::Guard<'_>> + Send;
}

macro_rules! mutexes {
    ($($library:ident: $mutex:ty, $guard:ty;)*) => {$(
        impl Mutex for $mutex {
            type Guard<'a> = $guard;
            fn new() -> Self {
                Self::new(0)
            }
            #[inline]
            fn lock(&self) -> impl Future<Output = Self::Guard<'_>> + Send {
                self.lock()
            }
        }
    )*};
}

mutexes! {
    asyncio: asyncio::sync::Mutex<u64>, asyncio::sync::MutexGuard<'a, u64>;
    tokio: tokio::sync::Mutex<u64>, tokio::sync::MutexGuard<'a, u64>;
    async_lock: async_lock::Mutex<u64>, async_lock::MutexGuard<'a, u64>;
    futures: futures::lock::Mutex<u64>, futures::lock::MutexGuard<'a, u64>;
}

/// A channel of numbers, bounded.
pub trait Channel: 'static {
    type Sender: Clone + Send + Sync + 'static;
    type Receiver: Send + 'static;
    fn new(capacity: usize) -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, value: u64) -> impl Future<Output = ()> + Send;
    fn recv(receiver: &mut Self::Receiver) -> impl Future<Output = Option<u64>> + Send;
}

macro_rules! channels {
    ($($name:ident: $sender:ty, $receiver:ty, $new:expr, $send:ident, $recv:ident;)*) => {$(
        pub struct $name;
        impl Channel for $name {
            type Sender = $sender;
            type Receiver = $receiver;
            fn new(capacity: usize) -> (Self::Sender, Self::Receiver) {
                $new(capacity)
            }
            #[inline]
            async fn send(sender: &Self::Sender, value: u64) {
                sender.$send(value).await.unwrap_or_else(|_| panic!("closed"));
            }
            #[inline]
            async fn recv(receiver: &mut Self::Receiver) -> Option<u64> {
                receiver.$recv().await.into_option()
            }
        }
    )*};
}

/// Some libraries give an `Option`, others a `Result`.
trait IntoOption<T> {
    fn into_option(self) -> Option<T>;
}

impl<T> IntoOption<T> for Option<T> {
    fn into_option(self) -> Option<T> {
        self
    }
}

impl<T, E> IntoOption<T> for Result<T, E> {
    fn into_option(self) -> Option<T> {
        self.ok()
    }
}

channels! {
    Asyncio: asyncio::sync::channel::Sender<u64>, asyncio::sync::channel::Receiver<u64>, asyncio::sync::channel, send, recv;
    Tokio: tokio::sync::mpsc::Sender<u64>, tokio::sync::mpsc::Receiver<u64>, tokio::sync::mpsc::channel, send, recv;
    AsyncChannel: async_channel::Sender<u64>, async_channel::Receiver<u64>, async_channel::bounded, send, recv;
    Kanal: kanal::AsyncSender<u64>, kanal::AsyncReceiver<u64>, kanal::bounded_async, send, recv;
    Flume: flume::Sender<u64>, flume::Receiver<u64>, flume::bounded, send_async, recv_async;
}
