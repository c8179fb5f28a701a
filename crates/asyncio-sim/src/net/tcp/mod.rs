//! [`Tcp`]: one end of a TCP connection, as a state machine without a world: segments go in, segments come out (RFC 9293).
//!
//! - T1: bytes are kept until the peer has acknowledged them. What is not acknowledged in time is sent again, from there on; three equal acknowledgements send one
//!   segment again at once (RFC 5681, section 3.2). The time is twice the measured round trip, at least 200 ms, doubled with each failure (RFC 6298).
//! - T2: nothing is sent beyond the peer's window. A closed one is probed, so that an update that was lost does not stop the connection.
//! - T3: an acknowledgement waits for 40 ms, or for something to go along with; that of two full segments, of an end and of anything out of order does not.
//! - T4: whoever closes with unread bytes, or gets bytes after it has closed, or shut both directions down, resets the connection (RFC 2525, section 2.17).
//! - T5: a connection has a number of its own, where a real one has initial sequence numbers: a segment of an earlier one is recognised by it.
//!
//! Left out: congestion control, Nagle's algorithm, selective acknowledgements, urgent data, probes of an idle connection.

mod arriving;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice, IoSliceMut};

use asyncio_reactor::Ready;

use super::Nanos;

const MILLI: Nanos = 1_000_000;
const RTO_MIN: Nanos = 200 * MILLI;
const RTO_FIRST: Nanos = 1000 * MILLI;
const RTO_MAX: Nanos = 120_000 * MILLI;
const ACK_DELAY: Nanos = 40 * MILLI;
/// How long the half of a connection whose owner is gone waits for the other one's end.
const ORPHAN_MAX: Nanos = 60_000 * MILLI;
/// As Linux does: `tcp_syn_retries`, `tcp_synack_retries`, `tcp_retries2`.
const SYN_RETRIES: u32 = 6;
const SYN_ACK_RETRIES: u32 = 5;
const RETRIES: u32 = 15;

/// What goes over the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    /// T5.
    pub(crate) conn: u64,
    pub(crate) seq: u64,
    /// Everything below has come.
    pub(crate) ack: u64,
    /// Nothing from here on may be sent.
    pub(crate) edge: u64,
    pub(crate) is_syn: bool,
    pub(crate) is_ack: bool,
    pub(crate) is_fin: bool,
    pub(crate) is_rst: bool,
    pub(crate) data: Vec<u8>,
}

impl Segment {
    /// The answer to a segment that belongs to nothing.
    pub(crate) fn reset(conn: u64) -> Self {
        Self { conn, is_rst: true, ..Self::default() }
    }
}

/// What comes out of a step.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) segments: Vec<Segment>,
    pub(crate) ready: Ready,
    /// The handshake of an end that was made for a listener is over.
    pub(crate) has_opened: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Connecting,
    /// Made for a listener; the last part of the handshake has not come.
    Half,
    Open,
    /// Reset, refused, or given up.
    Dead,
}

/// The buffers of a connection, and the size of a segment, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) send: usize,
    pub(crate) recv: usize,
    pub(crate) segment: usize,
}

#[derive(Debug)]
pub(crate) struct Tcp {
    state: State,
    conn: u64,
    sizes: Sizes,

    /// Bytes that are not acknowledged, from `base` on.
    unacked: VecDeque<u8>,
    base: u64,
    una: u64,
    next: u64,
    /// The furthest that was ever sent.
    high: u64,
    edge: u64,
    fin_wanted: bool,
    fin_acked: bool,
    dup_acks: u32,
    rto: Nanos,
    rto_at: Option<Nanos>,
    retries: u32,
    round_trip: Option<Nanos>,
    /// What is measured: the end of a segment, and when it was sent.
    timed: Option<(u64, Nanos)>,

    inbox: VecDeque<u8>,
    rcv_next: u64,
    early: BTreeMap<u64, Vec<u8>>,
    fin_at: Option<u64>,
    has_ended: bool,
    told_edge: u64,
    unacked_received: usize,
    ack_now: bool,
    ack_at: Option<Nanos>,

    shut_read: bool,
    is_orphan: bool,
    orphan_until: Option<Nanos>,
    closed_first: bool,
    error: Option<io::ErrorKind>,
}

impl Tcp {
    pub(crate) fn fresh(sizes: Sizes) -> Self {
        Self {
            state: State::Fresh,
            conn: 0,
            sizes,
            unacked: VecDeque::new(),
            base: 1,
            una: 0,
            next: 0,
            high: 0,
            edge: 0,
            fin_wanted: false,
            fin_acked: false,
            dup_acks: 0,
            rto: RTO_FIRST,
            rto_at: None,
            retries: 0,
            round_trip: None,
            timed: None,
            inbox: VecDeque::new(),
            rcv_next: 0,
            early: BTreeMap::new(),
            fin_at: None,
            has_ended: false,
            told_edge: 0,
            unacked_received: 0,
            ack_now: false,
            ack_at: None,
            shut_read: false,
            is_orphan: false,
            orphan_until: None,
            closed_first: false,
            error: None,
        }
    }

    /// Makes the end that a listener answers with.
    pub(crate) fn of_syn(sizes: Sizes, syn: &Segment, now: Nanos, out: &mut Out) -> Self {
        let mut this = Self::fresh(sizes);
        (this.state, this.conn, this.edge, this.rcv_next) = (State::Half, syn.conn, syn.edge, 1);
        this.begin(now, out);
        this
    }

    pub(crate) fn connect(&mut self, conn: u64, sizes: Sizes, now: Nanos, out: &mut Out) {
        debug_assert!(self.is_fresh());
        *self = Self { state: State::Connecting, conn, error: None, ..Self::fresh(sizes) };
        self.begin(now, out);
    }

    /// Sends the first segment.
    fn begin(&mut self, now: Nanos, out: &mut Out) {
        (self.next, self.high) = (1, 1);
        self.timed = Some((1, now));
        self.rto_at = Some(now + self.rto);
        self.emit(Segment { is_syn: true, ..Segment::default() }, out);
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.state == State::Fresh || self.state == State::Dead && self.una == 0
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.state == State::Connecting
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(crate) fn is_half(&self) -> bool {
        self.state == State::Half
    }

    /// Connected once, and not reset.
    pub(crate) fn has_peer(&self) -> bool {
        self.state == State::Open && !(self.fin_acked && self.has_ended)
    }

    pub(crate) fn is_orphan(&self) -> bool {
        self.is_orphan
    }

    pub(crate) fn conn(&self) -> u64 {
        self.conn
    }

    pub(crate) fn take_error(&mut self) -> Option<io::ErrorKind> {
        self.error.take()
    }

    pub(crate) fn set_sizes(&mut self, send: Option<usize>, recv: Option<usize>) {
        self.sizes.send = send.unwrap_or(self.sizes.send);
        self.sizes.recv = recv.unwrap_or(self.sizes.recv);
    }

    /// Nothing of it is needed any more, once its owner is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.is_orphan && (self.state != State::Open || self.fin_acked && self.has_ended)
    }

    /// What it answers if the peer says its last words again, where it has to be remembered for a while, since it closed first.
    pub(crate) fn last_answer(&self) -> Option<Segment> {
        let must_wait = self.state == State::Open && self.closed_first;
        must_wait.then(|| Segment {
            conn: self.conn,
            seq: self.next,
            ack: self.rcv_next,
            edge: self.told_edge,
            is_ack: true,
            ..Segment::default()
        })
    }

    pub(crate) fn deadline(&self) -> Option<Nanos> {
        self.rto_at.into_iter().chain(self.ack_at).chain(self.orphan_until).min()
    }

    pub(crate) fn send(
        &mut self,
        now: Nanos,
        bufs: &[IoSlice<'_>],
        limit: usize,
        out: &mut Out,
    ) -> io::Result<usize> {
        match self.state {
            State::Connecting | State::Half => return Err(io::ErrorKind::WouldBlock.into()),
            State::Dead => return Err(self.error.take().unwrap_or(io::ErrorKind::BrokenPipe).into()),
            State::Fresh => return Err(io::ErrorKind::BrokenPipe.into()),
            State::Open if self.fin_wanted => return Err(io::ErrorKind::BrokenPipe.into()),
            State::Open => {}
        }
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        let mut room = self.sizes.send.saturating_sub(self.unacked.len()).min(limit);
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = self.unacked.len();
        for buf in bufs {
            let n = buf.len().min(room);
            self.unacked.extend(&buf[..n]);
            room -= n;
        }
        self.pump(now, out);
        Ok(self.unacked.len() - before)
    }

    pub(crate) fn recv(
        &mut self,
        now: Nanos,
        bufs: &mut [IoSliceMut<'_>],
        is_peek: bool,
        limit: usize,
        out: &mut Out,
    ) -> io::Result<usize> {
        match self.state {
            State::Fresh => return Err(io::ErrorKind::NotConnected.into()),
            State::Connecting | State::Half => return Err(io::ErrorKind::WouldBlock.into()),
            State::Open | State::Dead => {}
        }
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        if self.inbox.is_empty() {
            if self.shut_read || self.has_ended {
                // The end stays, whatever comes behind it.
                return Ok(0);
            }
            return match self.error.take() {
                Some(error) => Err(error.into()),
                None if self.state == State::Dead => Ok(0),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let n = copy_out(&self.inbox, bufs, limit);
        if !is_peek {
            self.inbox.drain(..n);
            self.tell_window(now, out);
        }
        Ok(n)
    }

    /// Tells the peer of room that has come, if that is worth a segment.
    fn tell_window(&mut self, now: Nanos, out: &mut Out) {
        if self.state != State::Open || self.has_ended {
            return;
        }
        let more = self.own_edge().saturating_sub(self.told_edge);
        let told = self.told_edge.saturating_sub(self.rcv_next);
        let full = (self.sizes.segment.min(self.sizes.recv / 2)) as u64;
        if more >= self.sizes.recv as u64 / 2 || told < full && more >= full {
            self.ack_now = true;
            self.pump(now, out);
        }
    }

    fn own_edge(&self) -> u64 {
        // What waits for no reader has its window open, so that it is seen if more comes (T4).
        let held = if self.is_deaf() { 0 } else { self.inbox.len() };
        self.rcv_next + self.sizes.recv.saturating_sub(held) as u64
    }

    /// Nobody hears what comes, and nobody says anything more.
    fn is_deaf(&self) -> bool {
        self.is_orphan || self.shut_read && self.fin_wanted
    }

    pub(crate) fn shut_down(&mut self, read: bool, write: bool, now: Nanos, out: &mut Out) -> io::Result<()> {
        if self.state != State::Open {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if read && !self.shut_read {
            self.shut_read = true;
            out.ready |= Ready::READABLE | Ready::READ_CLOSED;
        }
        if write && !self.fin_wanted {
            self.fin_wanted = true;
            out.ready |= Ready::WRITABLE | Ready::WRITE_CLOSED;
            self.pump(now, out);
        }
        Ok(())
    }

    /// Ends the connection at once (T4).
    pub(crate) fn reset(&mut self, out: &mut Out) {
        if matches!(self.state, State::Open | State::Half) {
            self.emit(Segment { is_rst: true, ..Segment::default() }, out);
        }
        self.inbox.clear();
        self.die(None, out);
    }

    /// Its owner is gone.
    pub(crate) fn close(&mut self, now: Nanos, is_hard: bool, out: &mut Out) {
        self.is_orphan = true;
        match self.state {
            State::Open if is_hard || !self.inbox.is_empty() => self.reset(out),
            State::Open => {
                self.fin_wanted = true;
                self.orphan_until = self.fin_acked.then_some(now + ORPHAN_MAX);
                self.pump(now, out);
            }
            State::Half => self.reset(out),
            State::Fresh | State::Connecting | State::Dead => self.die(None, out),
        }
    }

    fn die(&mut self, error: Option<io::ErrorKind>, out: &mut Out) {
        self.state = State::Dead;
        self.error = error;
        self.unacked.clear();
        self.early.clear();
        (self.rto_at, self.ack_at, self.orphan_until) = (None, None, None);
        out.ready |= Ready::ERROR;
    }

    pub(crate) fn on_segment(&mut self, segment: Segment, now: Nanos, out: &mut Out) {
        if segment.conn != self.conn || self.state == State::Fresh || self.state == State::Dead {
            // T5.
            if !segment.is_rst && (segment.conn != self.conn || self.state == State::Dead) {
                out.segments.push(Segment::reset(segment.conn));
            }
            return;
        }
        if segment.is_rst {
            return self.on_reset(out);
        }
        if segment.is_syn {
            return self.on_syn(&segment, now, out);
        }
        if self.state == State::Connecting {
            return;
        }
        if self.state == State::Half && segment.ack >= 1 {
            self.open(now);
            out.has_opened = true;
        }
        let is_new = !segment.data.is_empty() && segment.seq + segment.data.len() as u64 > self.rcv_next;
        if is_new && self.is_deaf() {
            return self.reset(out);
        }
        let is_probe = segment.seq < self.rcv_next && segment.data.is_empty() && !segment.is_fin;
        self.on_ack(&segment, now, out);
        self.on_data(segment, now, out);
        self.ack_now |= is_probe;
        self.pump(now, out);
    }

    fn on_reset(&mut self, out: &mut Out) {
        if self.fin_acked && self.has_ended {
            // Everything has gone both ways: a late answer to something that was late.
            return;
        }
        let error = match self.state {
            State::Connecting => io::ErrorKind::ConnectionRefused,
            // As Linux says to one whose peer has closed.
            _ if self.has_ended => io::ErrorKind::BrokenPipe,
            _ => io::ErrorKind::ConnectionReset,
        };
        self.die(Some(error), out);
    }

    /// The first segment of the peer, or that again.
    fn on_syn(&mut self, segment: &Segment, now: Nanos, out: &mut Out) {
        match (self.state, segment.is_ack) {
            (State::Connecting, true) => {
                (self.rcv_next, self.edge) = (1, segment.edge);
                self.open(now);
                out.ready |= Ready::WRITABLE;
                self.ack_now = true;
                self.pump(now, out);
            }
            // The answer was lost.
            (State::Half, false) => self.emit(Segment { is_syn: true, ..Segment::default() }, out),
            (State::Open, true) => {
                self.ack_now = true;
                self.pump(now, out);
            }
            _ => {}
        }
    }

    fn open(&mut self, now: Nanos) {
        self.state = State::Open;
        (self.una, self.rto_at, self.retries) = (1, None, 0);
        if let Some((_, sent)) = self.timed.take() {
            self.measured(now - sent);
        } else {
            self.rto = RTO_FIRST;
        }
    }

    fn measured(&mut self, sample: Nanos) {
        let smooth = self.round_trip.map_or(sample, |old| (7 * old + sample) / 8);
        self.round_trip = Some(smooth);
        self.rto = (2 * smooth + ACK_DELAY).clamp(RTO_MIN, RTO_MAX);
    }

    /// Sends what may be sent, and an acknowledgement if one is due.
    fn pump(&mut self, now: Nanos, out: &mut Out) {
        if self.state != State::Open {
            return;
        }
        let end = self.base + self.unacked.len() as u64;
        while self.next < end && self.next < self.edge {
            let n = (end - self.next).min(self.edge - self.next).min(self.sizes.segment as u64);
            let (seq, data) = (self.next, self.data_at(self.next, n as usize));
            self.next += n;
            if self.timed.is_none() && self.next > self.high {
                self.timed = Some((self.next, now));
            }
            self.emit(Segment { seq, data, ..Segment::default() }, out);
        }
        if self.fin_wanted && !self.fin_acked && self.next == end {
            self.closed_first |= !self.has_ended;
            self.next = end + 1;
            self.emit(Segment { seq: end, is_fin: true, ..Segment::default() }, out);
        }
        self.high = self.high.max(self.next);
        if self.ack_now {
            self.emit(Segment { seq: self.next, ..Segment::default() }, out);
        }
        if self.una < self.next || self.next < end {
            self.rto_at.get_or_insert(now + self.rto);
        }
    }

    fn data_at(&self, seq: u64, n: usize) -> Vec<u8> {
        let start = (seq - self.base) as usize;
        let (a, b) = self.unacked.as_slices();
        if start + n <= a.len() {
            return a[start..start + n].to_vec();
        }
        a.iter().chain(b).skip(start).take(n).copied().collect()
    }

    fn send_first_again(&mut self, out: &mut Out) {
        // What is sent twice is not measured (Karn and Partridge, 1987).
        self.timed = None;
        let n = self.unacked.len().min(self.sizes.segment);
        if n > 0 {
            let data = self.data_at(self.base, n);
            self.emit(Segment { seq: self.base, data, ..Segment::default() }, out);
        } else if self.fin_wanted && !self.fin_acked {
            self.emit(Segment { seq: self.base, is_fin: true, ..Segment::default() }, out);
        }
    }

    /// Puts what every segment has into one, and sends it.
    fn emit(&mut self, mut segment: Segment, out: &mut Out) {
        segment.conn = self.conn;
        segment.is_ack = self.state != State::Connecting;
        segment.ack = self.rcv_next;
        segment.edge = self.own_edge().max(self.told_edge);
        self.told_edge = segment.edge;
        (self.ack_now, self.ack_at, self.unacked_received) = (false, None, 0);
        out.segments.push(segment);
    }

    pub(crate) fn on_timer(&mut self, now: Nanos, out: &mut Out) {
        let is_due = |at: Option<Nanos>| at.is_some_and(|at| at <= now);
        if is_due(self.orphan_until) {
            // The peer has not ended: nobody waits for it any more, and it is not told, as on Linux.
            return if self.fin_acked { self.die(None, out) } else { self.reset(out) };
        }
        if is_due(self.ack_at) {
            (self.ack_at, self.ack_now) = (None, true);
            self.pump(now, out);
        }
        if is_due(self.rto_at) {
            self.send_again(now, out);
        }
    }

    /// Nothing has come in time (T1).
    fn send_again(&mut self, now: Nanos, out: &mut Out) {
        self.retries += 1;
        let retries_max = match self.state {
            State::Connecting => SYN_RETRIES,
            State::Half => SYN_ACK_RETRIES,
            _ => RETRIES,
        };
        if self.retries > retries_max {
            return self.die(Some(io::ErrorKind::TimedOut), out);
        }
        (self.timed, self.dup_acks) = (None, 0);
        self.rto = (self.rto * 2).min(RTO_MAX);
        self.rto_at = Some(now + self.rto);
        if self.state != State::Open {
            return self.emit(Segment { is_syn: true, ..Segment::default() }, out);
        }
        if self.una < self.next {
            self.next = self.una;
            self.pump(now, out);
        } else {
            // T2.
            self.emit(Segment { seq: self.next - 1, ..Segment::default() }, out);
        }
    }
}

/// Copies the first bytes into the buffers, at most `limit`, and says how many.
pub(super) fn copy_out(from: &VecDeque<u8>, bufs: &mut [IoSliceMut<'_>], limit: usize) -> usize {
    let (a, b) = from.as_slices();
    let mut done = 0;
    for buf in bufs {
        let mut place = &mut buf[..];
        while !place.is_empty() && done < limit.min(from.len()) {
            let left = if done < a.len() { &a[done..] } else { &b[done - a.len()..] };
            let n = left.len().min(place.len()).min(limit - done);
            place[..n].copy_from_slice(&left[..n]);
            place = &mut place[n..];
            done += n;
        }
    }
    done
}
