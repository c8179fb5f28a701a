//! [`join!`], [`try_join!`] and [`race!`]: a few futures that are awaited together, in place.
//!
//! [`join!`]: crate::join
//! [`try_join!`]: crate::try_join
//! [`race!`]: crate::race

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::branch::{All, AllOk, AnyBranch, Branch, First, Together};

/// Awaits several futures together, and gives their outputs in the order of the arguments.
///
/// They are polled in turn, within the task that awaits: at the same time, but not in parallel. If one panics, the others are dropped, their
/// clean-up ends, and the panic goes on. At most twelve.
///
/// # Examples
///
/// ```
/// asyncio_executor::block_on(async {
///     let (one, two) = asyncio_tasks::join!(async { 1 }, async { "two" });
///     assert_eq!((one, two), (1, "two"));
/// });
/// ```
#[macro_export]
macro_rules! join {
    ($($future:expr),+ $(,)?) => {
        $crate::_macros::Join::join(($($future,)+)).await
    };
}

/// Awaits several futures together that give `Result`s of one error type: all values, or the first error.
///
/// On an error the others are dropped, and their clean-up ends before this returns. At most twelve.
///
/// # Errors
///
/// Gives the first error.
///
/// # Examples
///
/// ```
/// asyncio_executor::block_on(async {
///     let both: Result<(u32, u32), String> = asyncio_tasks::try_join!(async { Ok(1) }, async { Ok(2) });
///     assert_eq!(both, Ok((1, 2)));
///     let never = std::future::pending::<Result<u32, &str>>();
///     let one = asyncio_tasks::try_join!(never, async { Err::<u32, _>("no") });
///     assert_eq!(one, Err("no"));
/// });
/// ```
#[macro_export]
macro_rules! try_join {
    ($($future:expr),+ $(,)?) => {
        $crate::_macros::TryJoin::try_join(($($future,)+)).await
    };
}

/// Awaits several futures of one output type until the first has ended, and gives its output.
///
/// They are polled in the order of the arguments, so of two that are ready at once the former wins. The losers are dropped, unpolled if they had not
/// been polled, and their clean-up ends before this returns; a loser that must not be dropped, such as a shield, is waited for. At most twelve.
///
/// # Cancel safety
///
/// A loser is dropped where it waits: use it with operations that lose nothing by that.
///
/// # Examples
///
/// ```
/// asyncio_executor::block_on(async {
///     let first = asyncio_tasks::race!(std::future::pending(), async { "ready" });
///     assert_eq!(first, "ready");
/// });
/// ```
#[macro_export]
macro_rules! race {
    ($($future:expr),+ $(,)?) => {
        $crate::_macros::Race::race(($($future,)+)).await
    };
}

/// A tuple of futures.
pub trait Join {
    /// Their outputs.
    type Output;

    /// What `join!` stands for.
    fn join(self) -> impl Future<Output = Self::Output>;
}

/// A tuple of futures that give `Result`s.
pub trait TryJoin {
    /// Their values.
    type Output;
    /// Their error.
    type Error;

    /// What `try_join!` stands for.
    fn try_join(self) -> impl Future<Output = Result<Self::Output, Self::Error>>;
}

/// A tuple of futures of one output type.
pub trait Race {
    /// The output.
    type Output;

    /// What `race!` stands for.
    fn race(self) -> impl Future<Output = Self::Output>;
}

macro_rules! count {
    ($($name:ident)+) => { [$(stringify!($name)),+].len() };
}

macro_rules! impl_for_tuple {
    ($($name:ident $output:ident $n:tt),+) => {
        impl<$($name: Future),+> Join for ($($name,)+) {
            type Output = ($($name::Output,)+);

            #[allow(non_snake_case, reason = "named as their types")]
            async fn join(self) -> Self::Output {
                let ($($name,)+) = self;
                $(let mut $name = pin!(Branch::<_, All>::new($name));)+
                let mut together = Together::default();
                poll_fn(|cx| {
                    let mut branches: [std::pin::Pin<&mut dyn AnyBranch>; count!($($name)+)] = [$($name.as_mut()),+];
                    if together.poll(&mut branches, cx) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                // OK because all have ended, and none was cancelled.
                ($($name.take_value().expect("each has a value"),)+)
            }
        }

        impl<Err, $($name, $output),+> TryJoin for ($($name,)+)
        where
            $($name: Future<Output = Result<$output, Err>>,)+
        {
            type Output = ($($output,)+);
            type Error = Err;

            #[allow(non_snake_case, reason = "named as their types")]
            async fn try_join(self) -> Result<Self::Output, Err> {
                let ($($name,)+) = self;
                $(let mut $name = pin!(Branch::<_, AllOk>::new($name));)+
                let mut together = Together::default();
                poll_fn(|cx| {
                    let mut branches: [std::pin::Pin<&mut dyn AnyBranch>; count!($($name)+)] = [$($name.as_mut()),+];
                    if together.poll(&mut branches, cx) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                // The error that decided, not one that came after it.
                $(
                    if together.winner() == Some($n) {
                        if let Some(Err(error)) = $name.as_mut().take_value() {
                            return Err(error);
                        }
                    }
                )+
                // OK because nobody has decided, so each has ended, with a value.
                Ok(($($name.take_value().and_then(Result::ok).expect("each has a value"),)+))
            }
        }

        impl<Out, $($name: Future<Output = Out>),+> Race for ($($name,)+) {
            type Output = Out;

            #[allow(non_snake_case, reason = "named as their types")]
            async fn race(self) -> Out {
                let ($($name,)+) = self;
                $(let mut $name = pin!(Branch::<_, First>::new($name));)+
                let mut together = Together::default();
                poll_fn(|cx| {
                    let mut branches: [std::pin::Pin<&mut dyn AnyBranch>; count!($($name)+)] = [$($name.as_mut()),+];
                    if together.poll(&mut branches, cx) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                let mut output = None;
                $(
                    if together.winner() == Some($n) {
                        output = $name.take_value();
                    }
                )+
                // OK because a race has ended when one has won it.
                output.expect("somebody has won")
            }
        }
    };
}

impl_for_tuple!(A RA 0);
impl_for_tuple!(A RA 0, B RB 1);
impl_for_tuple!(A RA 0, B RB 1, C RC 2);
impl_for_tuple!(A RA 0, B RB 1, C RC 2, D RD 3);
impl_for_tuple!(A RA 0, B RB 1, C RC 2, D RD 3, E RE 4);
impl_for_tuple!(A RA 0, B RB 1, C RC 2, D RD 3, E RE 4, F RF 5);
impl_for_tuple!(A RA 0, B RB 1, C RC 2, D RD 3, E RE 4, F RF 5, G RG 6);
impl_for_tuple!(A RA 0, B RB 1, C RC 2, D RD 3, E RE 4, F RF 5, G RG 6, H RH 7);
impl_for_tuple!(A RA 0, B RB 1, C RC 2, D RD 3, E RE 4, F RF 5, G RG 6, H RH 7, I RI 8);
impl_for_tuple!(A RA 0, B RB 1, C RC 2, D RD 3, E RE 4, F RF 5, G RG 6, H RH 7, I RI 8, J RJ 9);
impl_for_tuple!(A RA 0, B RB 1, C RC 2, D RD 3, E RE 4, F RF 5, G RG 6, H RH 7, I RI 8, J RJ 9, K RK 10);
impl_for_tuple!(A RA 0, B RB 1, C RC 2, D RD 3, E RE 4, F RF 5, G RG 6, H RH 7, I RI 8, J RJ 9, K RK 10, L RL 11);
