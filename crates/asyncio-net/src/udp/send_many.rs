//! Several datagrams to the system in one call; and such as are equally long and go to one place in one message, which it takes apart (`UDP_SEGMENT`, Linux).

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::num::NonZeroU16;

use asyncio_base::shim::{AtomicBool, Ordering};
use asyncio_reactor::{SendMsg, SockAddr, Socket, Waiter};

/// How many one message may have: what a kernel of the first years takes (`UDP_MAX_SEGMENTS`).
const SEGMENTS_MAX: usize = 64;
/// How many bytes: with their headers less than an IP packet may have.
const BYTES_MAX: usize = 65_000;
/// Longer ones might not pass whole, and then the kernel does not take them apart; and only few of them would share a message.
const SEGMENT_MAX: usize = 1452;

/// A datagram, and where it goes, if not to the connected peer.
pub(super) type Outgoing<'a> = (&'a [u8], Option<SocketAddr>);

/// Sends several; says how many the system has taken, at least one. `may_join` is what is known of the system: whether it takes messages apart.
pub(super) async fn send_many(
    socket: &dyn Socket,
    may_join: &AtomicBool,
    datagrams: &[Outgoing<'_>],
) -> io::Result<usize> {
    if datagrams.is_empty() {
        return Ok(0);
    }
    // Relaxed: it says only what is tried first.
    if !may_join.load(Ordering::Relaxed) {
        return send(socket, datagrams, |_| 1).await;
    }
    match send(socket, datagrams, joined).await {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let sent = send(socket, datagrams, |_| 1).await?;
            // It was not the address that was wrong.
            may_join.store(false, Ordering::Relaxed);
            Ok(sent)
        }
        result => result,
    }
}

/// Sends them as messages, each of as many of the first of what is left as `message_of` says.
async fn send(
    socket: &dyn Socket,
    datagrams: &[Outgoing<'_>],
    message_of: impl Fn(&[Outgoing<'_>]) -> usize,
) -> io::Result<usize> {
    let mut waiter = Waiter::new();
    let bufs: Vec<IoSlice<'_>> = datagrams.iter().map(|(bytes, _)| IoSlice::new(bytes)).collect();
    let (mut counts, mut addrs) = (Vec::new(), Vec::new());
    let mut left = datagrams;
    while let Some((_, to)) = left.first() {
        let count = message_of(left);
        counts.push(count);
        addrs.push(to.map(SockAddr::from));
        left = &left[count..];
    }
    let mut rest = &bufs[..];
    let messages: Vec<SendMsg<'_, '_>> = counts
        .iter()
        .zip(&addrs)
        .map(|(count, addr)| {
            let (bufs, others) = rest.split_at(*count);
            rest = others;
            // Those that share a message are no longer than `SEGMENT_MAX`, and not empty.
            let segment_size = (*count > 1).then(|| NonZeroU16::new(bufs[0].len() as u16)).flatten();
            SendMsg { addr: addr.as_ref(), segment_size, ..SendMsg::new(bufs) }
        })
        .collect();
    let sent = poll_fn(|cx| socket.poll_send_many(cx, &mut waiter, &messages)).await?;
    Ok(counts[..sent].iter().sum())
}

/// How many of the first can share a message: all to one place, and equally long, but for the last of them.
fn joined(datagrams: &[Outgoing<'_>]) -> usize {
    let (first, to) = datagrams[0];
    if first.is_empty() || first.len() > SEGMENT_MAX {
        return 1;
    }
    let max = SEGMENTS_MAX.min(BYTES_MAX / first.len());
    let mut count = 1;
    for (bytes, other) in datagrams[1..].iter().take(max - 1) {
        if *other != to || bytes.is_empty() || bytes.len() > first.len() {
            break;
        }
        count += 1;
        if bytes.len() < first.len() {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(lens: &[usize]) -> Vec<usize> {
        let memory = vec![0; 70_000];
        let datagrams: Vec<Outgoing<'_>> = lens.iter().map(|len| (&memory[..*len], None)).collect();
        let (mut left, mut counts) = (&datagrams[..], Vec::new());
        while !left.is_empty() {
            counts.push(joined(left));
            left = &left[counts[counts.len() - 1]..];
        }
        counts
    }

    #[test]
    fn equally_long_ones_share_a_message_and_one_shorter_ends_it() {
        assert_eq!(counts(&[5, 5, 5]), [3]);
        assert_eq!(counts(&[5, 5, 3, 5]), [3, 1]);
        assert_eq!(counts(&[3, 5, 5]), [1, 2]);
        assert_eq!(counts(&[0, 0, 5, 0, 5, 5]), [1, 1, 1, 1, 2]);
        assert_eq!(counts(&[1452; 3]), [3]);
        assert_eq!(counts(&[1453, 1453]), [1, 1]);
        assert_eq!(counts(&[1; 150]), [64, 64, 22]);
        assert_eq!(counts(&[1452; 50]), [44, 6], "65,000 bytes");
    }

    #[test]
    fn only_to_one_place() {
        let (a, b) = (Some(SocketAddr::from(([1; 4], 1))), Some(SocketAddr::from(([1; 4], 2))));
        assert_eq!(joined(&[(b"x", a), (b"x", a), (b"x", b), (b"x", a)]), 2);
        assert_eq!(joined(&[(b"x", a), (b"x", None)]), 1);
    }
}
