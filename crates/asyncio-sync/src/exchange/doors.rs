//! The ways in and out of an [`Exchange`]: to send, to reserve a slot, to receive, to watch.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::error::{Closed, PutError, QueueShutDown, RecvError, SendError, TrySendError};
use crate::exchange::{Exchange, Receiving, Sending, State, Store};
use crate::lock::Lock;
use crate::wait::{Door, List, Woken};

/// What one is told who cannot send: a channel's error or a queue's.
pub(crate) trait Refusal<T> {
    fn giving_back(item: T) -> Self;
}

impl<T> Refusal<T> for SendError<T> {
    fn giving_back(item: T) -> Self {
        Self(item)
    }
}

impl<T> Refusal<T> for PutError<T> {
    fn giving_back(item: T) -> Self {
        Self(item)
    }
}

/// The way in, with an item. `E` refers to the exchange, `R` is what one is told who cannot.
pub(crate) struct ToSend<E, R>(E, PhantomData<fn() -> R>);

impl<E, R> ToSend<E, R> {
    #[inline]
    pub(crate) const fn new(exchange: E) -> Self {
        Self(exchange, PhantomData)
    }
}

impl<S: Store, E: Deref<Target = Exchange<S>>, R: Refusal<S::Item>> Door for ToSend<E, R> {
    type State = State<S>;
    type Turn = Sending<S::Item>;
    type Output = Result<(), R>;
    const NAME: &'static str = "send";

    #[inline]
    fn lock(&self) -> &Lock<State<S>> {
        self.0.state()
    }

    fn list<'s>(state: &'s mut State<S>, _: &Self::Turn) -> &'s mut List<Self::Turn> {
        &mut state.senders
    }

    #[inline(always)]
    fn enter(&self, state: &mut State<S>, turn: &mut Self::Turn, woken: &mut Woken) -> Option<Self::Output> {
        match state.try_send(turn.item.take()?, woken) {
            Ok(()) => Some(Ok(())),
            Err(TrySendError::Closed(item)) => Some(Err(R::giving_back(item))),
            Err(TrySendError::Full(item)) => {
                turn.item = Some(item);
                None
            }
        }
    }

    fn chosen(&self, turn: &mut Self::Turn) -> Self::Output {
        // Whoever closed has left the item here; whoever made room has taken it.
        turn.item.take().map_or(Ok(()), |item| Err(R::giving_back(item)))
    }

    // In line, the item goes with the future; chosen, it has been sent.
    fn leave(&self, _: &mut State<S>, _: &mut Self::Turn, _: bool, _: &mut Woken) {}
}

/// The way to a slot.
pub(crate) struct ToReserve<E>(pub(crate) E);

impl<S: Store, E: Deref<Target = Exchange<S>>> Door for ToReserve<E> {
    type State = State<S>;
    type Turn = Sending<S::Item>;
    type Output = Result<(), Closed>;
    const NAME: &'static str = "reserve";

    fn lock(&self) -> &Lock<State<S>> {
        self.0.state()
    }

    fn list<'s>(state: &'s mut State<S>, _: &Self::Turn) -> &'s mut List<Self::Turn> {
        &mut state.senders
    }

    fn enter(&self, state: &mut State<S>, _: &mut Self::Turn, _: &mut Woken) -> Option<Self::Output> {
        match state.try_reserve() {
            Ok(()) => Some(Ok(())),
            Err(TrySendError::Closed(())) => Some(Err(Closed)),
            Err(TrySendError::Full(())) => None,
        }
    }

    fn chosen(&self, turn: &mut Self::Turn) -> Self::Output {
        if turn.was_refused { Err(Closed) } else { Ok(()) }
    }

    fn leave(&self, state: &mut State<S>, turn: &mut Self::Turn, was_chosen: bool, woken: &mut Woken) {
        if was_chosen && !turn.was_refused {
            state.unreserve(woken);
        }
    }

    fn left(&self) {
        self.0.refuse();
    }
}

/// What one is told for whom nothing comes any more: a channel's error or a queue's.
pub(crate) trait Over {
    const OVER: Self;
}

impl Over for RecvError {
    const OVER: Self = Self;
}

impl Over for QueueShutDown {
    const OVER: Self = Self;
}

/// The way out, with an item. `E` refers to the exchange, `R` is what one is told for whom nothing comes.
pub(crate) struct ToReceive<E, R>(E, PhantomData<fn() -> R>);

impl<E, R> ToReceive<E, R> {
    #[inline]
    pub(crate) const fn new(exchange: E) -> Self {
        Self(exchange, PhantomData)
    }
}

impl<S: Store, E: Deref<Target = Exchange<S>>, R: Over> Door for ToReceive<E, R> {
    type State = State<S>;
    type Turn = Receiving;
    type Output = Result<S::Item, R>;
    const NAME: &'static str = "recv";

    #[inline]
    fn lock(&self) -> &Lock<State<S>> {
        self.0.state()
    }

    fn list<'s>(state: &'s mut State<S>, _: &Receiving) -> &'s mut List<Receiving> {
        &mut state.receivers
    }

    #[inline(always)]
    fn enter(&self, state: &mut State<S>, _: &mut Receiving, woken: &mut Woken) -> Option<Self::Output> {
        match state.try_receive(woken) {
            Some(item) => Some(Ok(item)),
            None => state.is_over().then_some(Err(R::OVER)),
        }
    }

    fn queued(&self, state: &mut State<S>, woken: &mut Woken) {
        state.receiver_came(woken);
    }

    fn chosen(&self, turn: &mut Receiving) -> Self::Output {
        if turn.was_refused {
            return Err(R::OVER);
        }
        self.0.collect().ok_or(R::OVER)
    }

    fn leave(&self, state: &mut State<S>, turn: &mut Receiving, was_chosen: bool, woken: &mut Woken) {
        if was_chosen && !turn.was_refused {
            state.unclaim(woken);
        }
    }
}

/// The way to the moment at which `is_so` holds of the state; whoever makes it so wakes those who watch.
pub(crate) struct ToWatch<E, S: Store> {
    pub(crate) exchange: E,
    pub(crate) is_so: fn(&mut State<S>) -> bool,
}

impl<S: Store, E: Deref<Target = Exchange<S>>> Door for ToWatch<E, S> {
    type State = State<S>;
    type Turn = u32;
    type Output = ();
    const NAME: &'static str = "join";

    fn lock(&self) -> &Lock<State<S>> {
        self.exchange.state()
    }

    fn list<'s>(state: &'s mut State<S>, _: &u32) -> &'s mut List<u32> {
        state.watching.waiting()
    }

    fn enter(&self, state: &mut State<S>, came: &mut u32, _: &mut Woken) -> Option<()> {
        *came = state.watching.times();
        (self.is_so)(state).then_some(())
    }

    fn chosen(&self, _: &mut u32) {}

    fn leave(&self, _: &mut State<S>, _: &mut u32, _: bool, _: &mut Woken) {}
}
