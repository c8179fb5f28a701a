//! What a segment brings: an acknowledgement, and data.

use asyncio_reactor::Ready;

use super::{ACK_DELAY, Nanos, ORPHAN_MAX, Out, RTO_FIRST, Segment, Tcp};

impl Tcp {
    pub(super) fn on_ack(&mut self, segment: &Segment, now: Nanos, out: &mut Out) {
        let end = self.base + self.unacked.len() as u64;
        if segment.ack > self.una && segment.ack <= self.high {
            self.una = segment.ack;
            let gone = segment.ack.min(end).saturating_sub(self.base);
            self.unacked.drain(..gone as usize);
            self.base += gone;
            self.fin_acked |= self.fin_wanted && segment.ack == end + 1;
            if self.is_orphan && self.fin_acked {
                self.orphan_until.get_or_insert(now + ORPHAN_MAX);
            }
            self.next = self.next.max(self.una);
            match self.timed {
                Some((seq, sent)) if segment.ack >= seq => {
                    self.timed = None;
                    self.measured(now - sent);
                }
                _ => self.rto = self.round_trip.map_or(RTO_FIRST, |_| self.rto),
            }
            (self.retries, self.dup_acks) = (0, 0);
            self.rto_at = (self.una < self.next).then(|| now + self.rto);
            out.ready |= Ready::WRITABLE;
        } else if segment.ack == self.una && self.una < self.next {
            let is_bare = segment.data.is_empty() && !segment.is_fin && segment.edge == self.edge;
            self.dup_acks += u32::from(is_bare);
            if self.dup_acks == 3 {
                self.send_first_again(out);
            }
        }
        if segment.ack == self.una && !self.is_orphan {
            // An answer to a probe (T2), or to what its buffer has no room for: the peer lives. Nobody waits for it for ever who is gone himself.
            self.retries = 0;
        }
        self.edge = self.edge.max(segment.edge);
    }

    pub(super) fn on_data(&mut self, segment: Segment, now: Nanos, out: &mut Out) {
        let Segment { seq, data, is_fin, .. } = segment;
        if is_fin {
            self.fin_at = Some(seq + data.len() as u64);
        } else if data.is_empty() {
            return;
        }
        let before = self.rcv_next;
        if seq > self.rcv_next {
            self.ack_now = true;
            if seq + data.len() as u64 <= self.told_edge && !data.is_empty() {
                self.early.entry(seq).or_insert(data);
            }
            return;
        }
        self.take(seq, &data);
        while let Some((&seq, _)) = self.early.first_key_value().filter(|(seq, _)| **seq <= self.rcv_next) {
            // OK because it was just seen.
            let data = self.early.remove(&seq).unwrap_or_default();
            self.take(seq, &data);
        }
        if self.fin_at == Some(self.rcv_next) && !self.has_ended {
            self.has_ended = true;
            self.rcv_next += 1;
            self.ack_now = true;
            out.ready |= Ready::READABLE | Ready::READ_CLOSED;
        }
        let came = (self.rcv_next - before) as usize;
        if came == 0 {
            // It has come before: the acknowledgement was lost.
            self.ack_now = true;
            return;
        }
        out.ready |= Ready::READABLE;
        self.unacked_received += came;
        if self.unacked_received >= 2 * self.sizes.segment || !self.early.is_empty() {
            self.ack_now = true;
        }
        let at = now + ACK_DELAY;
        self.ack_at.get_or_insert(at);
    }

    /// Takes what is new of a segment that is not too early.
    fn take(&mut self, seq: u64, data: &[u8]) {
        let known = (self.rcv_next - seq) as usize;
        let Some(new) = data.get(known..).filter(|new| !new.is_empty()) else { return };
        // What is beyond the window, a probe at most, comes again.
        let room = self.sizes.recv.saturating_sub(self.inbox.len());
        let new = &new[..new.len().min(room)];
        if !self.shut_read {
            self.inbox.extend(new);
        }
        self.rcv_next += new.len() as u64;
    }
}
