//! Listeners: the queue of connections, those whose handshake is under way, and what becomes of both.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use asyncio_reactor::{Ready, SockAddr};

use super::stream::{Stream, mapped};
use super::tcp::{Out, Segment, Tcp};
use super::{Body, HostId, Key, Slot, World};
use crate::trace::Kind;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) local: SocketAddr,
    pub(super) backlog: usize,
    /// Connections that are ready to be accepted.
    pub(super) queue: VecDeque<Slot>,
    /// Those whose handshake is under way.
    pub(super) half: usize,
    /// It was shut down: whoever accepts is told, until it listens again.
    pub(super) is_shut: bool,
}

impl World {
    pub(crate) fn listen(&mut self, key: Key, backlog: u32) -> io::Result<()> {
        let backlog = backlog as usize;
        let sock = self.sock(key)?;
        let options = sock.options;
        match &sock.body {
            Body::Local(_) => return self.listen_local(key, backlog),
            Body::Listener(listener) => {
                let local = listener.local;
                self.hosts[key.host].tcp.listens(local.port(), key.slot)?;
                if let Some(Body::Listener(listener)) = self.body(key.host, key.slot) {
                    (listener.backlog, listener.is_shut) = (backlog, false);
                }
                return Ok(());
            }
            Body::Datagram(_) => return Err(io::ErrorKind::Unsupported.into()),
            Body::Stream(stream) if stream.has_started && !stream.tcp.is_fresh() => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            Body::Stream(stream) if stream.local.is_none() => {
                let ip =
                    if options.is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
                self.bind(key, &SocketAddr::new(ip, 0).into())?;
            }
            Body::Stream(_) => {}
        }
        let stream = self.sock(key)?.stream()?;
        let local = stream.local.ok_or(io::ErrorKind::InvalidInput)?;
        self.hosts[key.host].tcp.listens(local.port(), key.slot)?;
        self.sock(key)?.body =
            Body::Listener(Listener { local, backlog, queue: VecDeque::new(), half: 0, is_shut: false });
        self.event(key.host, Kind::Listen, [key.slot as u64, backlog as u64]);
        Ok(())
    }

    pub(crate) fn accept(&mut self, key: Key) -> io::Result<(Key, SockAddr)> {
        let (slot, from) = match &mut self.sock(key)?.body {
            Body::Listener(listener) if listener.is_shut => return Err(io::ErrorKind::InvalidInput.into()),
            Body::Listener(listener) => {
                let slot = listener.queue.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
                let Some(Body::Stream(stream)) = self.body(key.host, slot) else {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                };
                stream.listener = None;
                (slot, stream.peer.ok_or(io::ErrorKind::ConnectionAborted)?.into())
            }
            Body::Local(_) => self.accept_local(key)?,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        self.event(key.host, Kind::Accept, [key.slot as u64, slot as u64]);
        let life = self.hosts[key.host].socks[slot].life;
        Ok((Key { host: key.host, slot, life }, from))
    }

    pub(super) fn close_queue(&mut self, key: Key) {
        let children: Vec<Slot> = self.hosts[key.host]
            .socks
            .iter()
            .filter(
                |(_, sock)| matches!(&sock.body, Body::Stream(stream) if stream.listener == Some(key.slot)),
            )
            .map(|(slot, _)| slot)
            .collect();
        for slot in children {
            let life = self.hosts[key.host].socks[slot].life;
            self.close_stream(Key { host: key.host, slot, life }, true);
        }
        if let Some(Body::Listener(listener)) = self.body(key.host, key.slot) {
            listener.half = 0;
            listener.queue.clear();
        }
    }

    /// It does not listen any more, and whoever accepts is told, as on Linux.
    pub(super) fn shut_down_listener(&mut self, key: Key) {
        self.close_queue(key);
        if let Some(Body::Listener(listener)) = self.body(key.host, key.slot) {
            listener.is_shut = true;
            let local = listener.local;
            self.hosts[key.host].tcp.listens_no_more(local.port(), key.slot);
        }
        self.ready(key.host, key.slot, Ready::ERROR);
    }

    pub(super) fn close_listener(&mut self, key: Key) {
        self.close_queue(key);
        let host = &mut self.hosts[key.host];
        if let Body::Listener(listener) = host.socks.remove(key.slot).body {
            host.tcp.unbind(listener.local.port(), key.slot);
        }
    }

    pub(super) fn syn_arrives(
        &mut self,
        syn: &Segment,
        host: HostId,
        from: HostId,
        (src, dst): (SocketAddr, SocketAddr),
        from_slot: Slot,
    ) {
        let listeners = self.hosts[host].tcp.at(dst, true);
        // Several that share a port share what comes.
        let nth = self.choices.choose(self.ways[from][host].stream, listeners.len() as u64) as usize;
        let Some(&slot) = listeners.get(nth) else {
            return self.answer_with_reset(host, from, (src, dst), from_slot, syn.conn);
        };
        let sizes_of = self.hosts[host].socks.get(slot).map(|sock| sock.options);
        let (Some(options), Some(Body::Listener(listener))) = (sizes_of, self.body(host, slot)) else {
            return;
        };
        if listener.queue.len() + listener.half > listener.backlog {
            // As Linux does: it is not answered, and comes again.
            self.counts.accept_queue_overflows += 1;
            return;
        }
        listener.half += 1;
        let (src, dst) = if options.is_v6 { (mapped(src), mapped(dst)) } else { (src, dst) };
        let ports = &mut self.hosts[host].tcp;
        ports.reuse_waiting(dst, src);
        let is_listed = ports.connected(dst, src).is_ok();
        let sizes = self.sizes(host, from, &options);
        let (now, mut out) = (self.now, Out::default());
        let stream = Stream {
            tcp: Tcp::of_syn(sizes, syn, now, &mut out),
            local: Some(dst),
            peer: Some(src),
            peer_host: from,
            peer_slot: from_slot,
            listener: Some(slot),
            is_listed,
            ..Stream::fresh(&options)
        };
        let key = self.add(host, options, Body::Stream(Box::new(stream)));
        // That of a host to itself is found by its place, since the number is taken.
        if from != host {
            self.hosts[host].by_conn.insert(syn.conn, key.slot);
        }
        self.follow(host, key.slot, out);
    }

    /// A handshake is over: the connection waits to be accepted.
    pub(super) fn opened(&mut self, host: HostId, slot: Slot) {
        let Some(Body::Stream(stream)) = self.body(host, slot) else { return };
        let Some(of) = stream.listener else { return };
        if let Some(Body::Listener(listener)) = self.body(host, of) {
            listener.half = listener.half.saturating_sub(1);
            listener.queue.push_back(slot);
            self.ready(host, of, Ready::READABLE);
        }
    }

    /// A handshake that nobody ends.
    pub(super) fn drop_failed_half(&mut self, key: Key) {
        let Ok(sock) = self.sock(key) else { return };
        let Body::Stream(stream) = &mut sock.body else { return };
        let Some(listener) = stream.listener else { return };
        if stream.tcp.is_half() || stream.tcp.is_open() {
            return;
        }
        if let Some(Body::Listener(listener)) = self.body(key.host, listener) {
            if listener.queue.contains(&key.slot) {
                // A connection that was reset before it was accepted is accepted nevertheless, as on Linux.
                return;
            }
            listener.half = listener.half.saturating_sub(1);
        }
        self.remove_stream(key.host, key.slot);
    }
}
