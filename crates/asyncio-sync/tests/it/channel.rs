//! `channel`, `unbounded_channel`, `rendezvous`: order, room, both ends, streams and sinks.

use std::pin::pin;

use asyncio_sync::channel::{Receiver, Sender};
use asyncio_sync::{
    Closed, RecvError, SendError, TryRecvError, TrySendError, channel, rendezvous, unbounded_channel,
};
use futures::{SinkExt, StreamExt};

use crate::support::{Hand, block_on, once, threads};

#[test]
fn values_come_out_in_the_order_in_which_they_went_in_also_from_those_who_waited() {
    let (sender, receiver) = channel(2);
    for n in 0..2 {
        once(sender.send(n)).unwrap().unwrap();
    }
    let mut waiting = [Hand::waiting(sender.send(2)), Hand::waiting(sender.send(3))];
    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
    assert_eq!(once(receiver.recv()), Some(Ok(0)));
    assert_eq!(waiting[0].woken(), Ok(()));
    assert!(!waiting[1].is_woken());
    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)), "the room is taken");
    for n in 1..4 {
        assert_eq!(receiver.try_recv(), Ok(n));
    }
    assert_eq!(waiting[1].woken(), Ok(()));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_value_goes_to_the_one_who_has_waited_longest_and_nobody_takes_it_from_him() {
    let (sender, receiver) = channel(2);
    let mut one = Hand::waiting(receiver.recv());
    let mut two = Hand::waiting(receiver.recv());
    sender.try_send(1).unwrap();
    assert!(!two.is_woken());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "it is claimed");
    assert_eq!((receiver.len(), receiver.is_empty()), (0, true));
    sender.try_send(2).unwrap();
    assert_eq!(two.woken(), Ok(1), "values are handed out in order, whoever runs first");
    assert_eq!(one.woken(), Ok(2));
}

/// async-channel #87, tokio #5947, cpython bpo-26923's class: the value of a receive that is dropped.
#[test]
fn a_receiver_who_goes_after_he_was_chosen_leaves_the_value_to_the_next() {
    let (sender, receiver) = channel(2);
    let going = Hand::waiting(receiver.recv());
    let mut next = Hand::waiting(receiver.recv());
    sender.try_send(1).unwrap();
    assert!(going.is_woken());
    drop(going);
    assert_eq!(next.woken(), Ok(1));
    let going = Hand::waiting(receiver.recv());
    sender.try_send(2).unwrap();
    sender.try_send(3).unwrap();
    drop(going);
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(2), Ok(3)), "in order");
}

#[test]
fn a_sender_who_goes_takes_his_value_along_and_his_room_is_anothers() {
    let (sender, receiver) = channel(1);
    sender.try_send(1).unwrap();
    let going = Hand::waiting(sender.send(2));
    let mut staying = Hand::waiting(sender.send(3));
    drop(going);
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(staying.woken(), Ok(()));
    assert_eq!(receiver.try_recv(), Ok(3));
}

#[test]
fn with_the_last_sender_it_ends_after_what_is_left() {
    let (sender, receiver) = channel(4);
    let second = sender.clone();
    sender.try_send(1).unwrap();
    drop(sender);
    let mut waiting = {
        assert_eq!(receiver.try_recv(), Ok(1));
        Hand::waiting(receiver.recv())
    };
    drop(second);
    assert_eq!(waiting.woken(), Err(RecvError));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn with_the_last_receiver_senders_get_their_values_back_and_what_is_left_is_dropped() {
    let value = std::rc::Rc::new(());
    let (sender, receiver) = channel(1);
    let second = receiver.clone();
    sender.try_send(value.clone()).unwrap();
    let mut waiting = Hand::waiting(sender.send(value.clone()));
    let mut closed = Hand::waiting(sender.closed());
    drop(receiver);
    assert!(!waiting.is_woken());
    drop(second);
    assert_eq!(waiting.woken(), Err(SendError(value.clone())));
    closed.woken();
    assert_eq!(std::rc::Rc::strong_count(&value), 1);
    assert!(matches!(sender.try_send(value), Err(TrySendError::Closed(_))));
}

#[test]
fn a_close_by_hand_leaves_what_is_in_it() {
    let (sender, receiver) = channel(4);
    sender.try_send(1).unwrap();
    assert!(receiver.close() && !sender.close());
    assert_eq!(once(sender.send(2)), Some(Err(SendError(2))));
    assert_eq!((once(receiver.recv()), once(receiver.recv())), (Some(Ok(1)), Some(Err(RecvError))));
}

/// A receiver that comes while the last value is claimed must not be told that all is over: the claim may come back.
#[test]
fn it_is_over_only_when_the_last_claim_is_settled() {
    let (sender, receiver) = channel(4);
    let going = Hand::waiting(receiver.recv());
    sender.try_send(1).unwrap();
    drop(sender);
    let mut late = Hand::waiting(receiver.recv());
    let mut later = Hand::waiting(receiver.recv());
    drop(going);
    assert_eq!(late.woken(), Ok(1));
    assert_eq!(later.woken(), Err(RecvError));
}

#[test]
fn a_slot_is_room_that_nobody_else_has() {
    let (sender, receiver) = channel(1);
    let slot = once(sender.reserve()).unwrap().unwrap();
    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)));
    let mut waiting = Hand::waiting(sender.reserve());
    slot.send(1);
    assert!(sender.try_reserve().is_err());
    assert_eq!(receiver.try_recv(), Ok(1));
    let slot = waiting.woken().unwrap();
    let mut send = Hand::waiting(sender.send(2));
    drop(slot);
    assert_eq!(send.woken(), Ok(()));
    assert_eq!(receiver.try_recv(), Ok(2));
}

/// tokio #8075 and #8260: the last slot that comes back wakes a receiver of a closed channel.
#[test]
fn a_closed_channel_is_over_when_the_last_slot_is_used_or_given_back() {
    for is_used in [false, true] {
        let (sender, receiver) = channel(2);
        let slot = once(sender.reserve()).unwrap().unwrap();
        receiver.close();
        let mut waiting = Hand::waiting(receiver.recv());
        match is_used {
            true => slot.send(7),
            false => drop(slot),
        }
        assert_eq!(waiting.woken(), if is_used { Ok(7) } else { Err(RecvError) });
        assert_eq!(once(sender.reserve()).unwrap().unwrap_err(), Closed);
    }
}

#[test]
fn a_rendezvous_keeps_nothing() {
    let (sender, receiver) = rendezvous();
    let mut send = Hand::waiting(sender.send(1));
    let mut second = Hand::waiting(sender.send(2));
    assert_eq!(receiver.try_recv(), Ok(1), "from his own hands");
    assert_eq!(send.woken(), Ok(()));
    assert_eq!(once(receiver.recv()), Some(Ok(2)));
    assert_eq!(second.woken(), Ok(()));
    let mut recv = Hand::waiting(receiver.recv());
    assert_eq!(once(sender.send(3)), Some(Ok(())));
    assert!(sender.try_send(4).unwrap_err().is_full(), "one has come, for one value");
    assert_eq!(recv.woken(), Ok(3));
}

#[test]
fn a_rendezvous_whose_receiver_goes_keeps_the_value_for_the_next() {
    let (sender, receiver) = rendezvous();
    let recv = Hand::waiting(receiver.recv());
    assert_eq!(sender.try_send(1), Ok(()));
    drop(recv);
    let mut waiting = Hand::waiting(sender.send(2));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert!(!waiting.is_woken());
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!(waiting.woken(), Ok(()));
}

/// What is claimed was sent before what waits: whoever runs first gets the first.
#[test]
fn a_rendezvous_keeps_the_order_of_what_one_sends() {
    let (sender, receiver) = rendezvous();
    let claimed = Hand::waiting(receiver.recv());
    sender.try_send(1).unwrap();
    let mut second = Hand::waiting(sender.send(2));
    assert_eq!(once(receiver.recv()), Some(Ok(1)));
    assert_eq!(second.woken(), Ok(()));
    drop(claimed);
    assert_eq!(once(receiver.recv()), Some(Ok(2)));
}

#[test]
fn a_rendezvous_lets_no_newcomer_pass_one_who_waits() {
    let (sender, receiver) = rendezvous();
    let mut reserved = Hand::waiting(sender.reserve());
    let mut first = Hand::waiting(receiver.recv());
    let slot = reserved.woken().unwrap();
    let mut send = Hand::waiting(sender.send(2));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(slot);
    assert_eq!((send.woken(), first.woken()), (Ok(()), Ok(2)));
}

#[test]
fn a_rendezvous_can_be_reserved() {
    let (sender, receiver) = rendezvous();
    assert!(sender.try_reserve().is_err());
    let mut slot = Hand::waiting(sender.reserve());
    let mut behind = Hand::waiting(sender.send(2));
    let mut one = Hand::waiting(receiver.recv());
    let slot = slot.woken().unwrap();
    assert!(!behind.is_woken(), "the one who came is promised");
    let mut two = Hand::waiting(receiver.recv());
    assert_eq!(behind.woken(), Ok(()));
    assert!(one.is_woken(), "the first value is for the first who came");
    slot.send(1);
    assert_eq!((one.ready(), two.woken()), (Ok(2), Ok(1)));
}

#[test]
fn an_unbounded_one_never_waits() {
    let (sender, receiver) = unbounded_channel();
    for n in 0..10_000 {
        assert_eq!(once(sender.send(n)), Some(Ok(())));
    }
    assert_eq!((receiver.len(), receiver.capacity(), sender.capacity()), (10_000, None, None));
    let mut values = Vec::new();
    assert_eq!(block_on(receiver.recv_many(&mut values, 0)), 0);
    assert_eq!(block_on(receiver.recv_many(&mut values, 4)), 4);
    assert_eq!(block_on(receiver.recv_many(&mut values, usize::MAX)), 9_996);
    assert!(values.into_iter().eq(0..10_000));
    drop(sender);
    assert_eq!(block_on(receiver.recv_many(&mut Vec::new(), 4)), 0);
}

#[test]
#[should_panic = "one that keeps none is made by `rendezvous`"]
fn a_channel_of_nothing_is_refused() {
    let _ = channel::<u32>(0);
}

/// async-channel #60: a weak handle must not bring back to life what has ended.
#[test]
fn weak_handles_keep_nothing_open() {
    let (sender, receiver) = channel::<u32>(1);
    let (weak_sender, weak_receiver) = (sender.downgrade(), receiver.downgrade());
    let again = weak_sender.upgrade().unwrap();
    assert!(again.same_channel(&sender));
    drop((sender, again));
    assert!(weak_sender.clone().upgrade().is_none(), "the receiver keeps the memory, not the senders");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    assert!(weak_receiver.upgrade().is_some());
    drop(receiver);
    assert!(weak_receiver.upgrade().is_none());
}

#[test]
fn a_receiver_is_a_stream() {
    let (sender, mut receiver) = channel(2);
    let mut next = Hand::waiting(receiver.next());
    sender.try_send(1).unwrap();
    assert_eq!(next.woken(), Some(1));
    drop(next);
    // A second wait uses the same place.
    let mut next = Hand::waiting(receiver.next());
    sender.try_send(2).unwrap();
    assert_eq!(next.woken(), Some(2));
    drop(next);
    sender.try_send(3).unwrap();
    drop(sender);
    assert_eq!(block_on(receiver.collect::<Vec<_>>()), [3]);
}

#[test]
fn a_stream_that_is_dropped_or_left_gives_its_value_to_others() {
    let (sender, receiver) = channel(2);
    let mut stream = receiver.clone();
    drop(Hand::waiting(stream.next()));
    sender.try_send(1).unwrap();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "it waits on, as a stream does");
    drop(stream);
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn a_sender_is_a_sink() {
    let (mut sender, receiver) = channel(1);
    block_on(sender.feed(1)).unwrap();
    let mut second = Hand::waiting(sender.send(2));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(second.woken(), Ok(()));
    drop(second);
    assert_eq!(receiver.try_recv(), Ok(2));
    let other = sender.clone();
    block_on(SinkExt::close(&mut sender)).unwrap();
    assert_eq!(block_on(sender.feed(3)), Err(Closed));
    assert_eq!(other.try_send(4), Ok(()), "to close one sink is to drop one sender");
    sender.abandon_sink();
    drop(sender.clone());
    assert!(!other.is_closed(), "it has been counted out once");
    drop(sender);
    assert_eq!(other.try_send(5), Err(TrySendError::Full(5)), "the channel is open");
    drop(other);
    assert_eq!(receiver.try_recv(), Ok(4));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn a_sink_whose_receivers_go_between_ready_and_send_says_so() {
    let (mut sender, receiver) = channel(1);
    block_on(futures::future::poll_fn(|cx| sender.poll_ready_unpin(cx))).unwrap();
    drop(receiver);
    assert_eq!(sender.start_send_unpin(1), Err(Closed));
}

#[test]
fn a_sink_that_is_always_ready_lets_others_run() {
    let (sender, receiver) = unbounded_channel();
    let endless = futures::stream::repeat(1).map(Ok).forward(sender);
    assert!(asyncio_base::budget::with_budget(10, || once(endless)).is_none());
    assert_eq!(receiver.len(), 80, "in memory, an eighth each");
}

#[test]
fn a_sink_that_is_refused_holds_no_slot() {
    let (mut sender, _receiver) = channel(1);
    let ready = asyncio_base::budget::with_budget(1, || {
        asyncio_base::budget::spend();
        once(futures::future::poll_fn(|cx| sender.poll_ready_unpin(cx)))
    });
    assert!(ready.is_none());
    sender.try_send(1).unwrap();
}

/// What comes together is counted one by one: else a task that receives in batches would never let others run.
#[test]
fn values_that_come_at_once_are_counted() {
    let (sender, receiver) = unbounded_channel();
    (0..100).for_each(|n| sender.try_send(n).unwrap());
    let (mut values, mut polls) = (Vec::new(), 0);
    asyncio_base::budget::with_budget(5, || {
        while once(receiver.recv_many(&mut values, 10)).is_some() {
            polls += 1;
        }
    });
    assert_eq!((polls, values.len()), (4, 40));
}

#[test]
fn a_place_as_a_stream_or_sink_can_be_given_up() {
    let (mut sender, mut receiver) = channel(1);
    drop(Hand::waiting(receiver.next()));
    sender.try_send(1).unwrap();
    receiver.abandon_stream();
    assert_eq!(receiver.try_recv(), Ok(1));
    block_on(futures::future::poll_fn(|cx| sender.poll_ready_unpin(cx))).unwrap();
    sender.abandon_sink();
    assert_eq!(sender.try_send(2), Ok(()));
}

#[test]
fn a_sink_that_is_dropped_gives_its_slot_back() {
    let (sender, receiver) = channel(1);
    let mut sink = sender.clone();
    block_on(futures::future::poll_fn(|cx| sink.poll_ready_unpin(cx))).unwrap();
    assert!(sender.try_send(1).is_err());
    drop(sink);
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn many_threads_at_both_ends_and_every_value_comes_once() {
    const EACH: usize = 20_000;
    for capacity in [0, 1, 3, usize::MAX] {
        let (sender, receiver): (Sender<usize>, Receiver<usize>) = match capacity {
            0 => rendezvous(),
            usize::MAX => unbounded_channel(),
            n => channel(n),
        };
        let each = if capacity == 0 { EACH / 10 } else { EACH };
        let ends =
            std::sync::Mutex::new((0..2).map(|_| (sender.clone(), receiver.clone())).collect::<Vec<_>>());
        drop((sender, receiver));
        let sums = std::sync::Mutex::new((0, 0));
        let pairs: Vec<_> = std::mem::take(&mut *ends.lock().unwrap());
        let (senders, receivers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let (senders, receivers) = (take_each(senders), take_each(receivers));
        threads(4, |n| {
            if n < 2 {
                let sender = senders[n].lock().unwrap().take().unwrap();
                for k in 0..each {
                    match k % 2 {
                        0 => sender.send_blocking(k).unwrap(),
                        _ => block_on(sender.send(k)).unwrap(),
                    }
                }
            } else {
                let receiver = receivers[n - 2].lock().unwrap().take().unwrap();
                let (mut count, mut sum) = (0, 0);
                while let Ok(value) = receiver.recv_blocking() {
                    count += 1;
                    sum += value;
                }
                let mut sums = sums.lock().unwrap();
                *sums = (sums.0 + count, sums.1 + sum);
            }
        });
        assert_eq!(sums.into_inner().unwrap(), (2 * each, each * (each - 1)), "capacity {capacity}");
    }
}

fn take_each<T>(all: Vec<T>) -> Vec<std::sync::Mutex<Option<T>>> {
    all.into_iter().map(|one| std::sync::Mutex::new(Some(one))).collect()
}

#[test]
fn debug_and_statistics_show_what_is_there() {
    let (sender, receiver) = channel(2);
    sender.try_send(1).unwrap();
    let statistics = receiver.statistics();
    assert_eq!((statistics.len, statistics.capacity, statistics.senders, statistics.receivers), (1, 2, 1, 1));
    assert!(format!("{sender:?}").contains("len: 1"), "{sender:?}");
    let mut send = pin!(sender.send(2));
    assert!(once(send.as_mut()).is_some());
    assert!(sender.statistics().waiting_to_send == 0 && receiver.len() == 2);
}
