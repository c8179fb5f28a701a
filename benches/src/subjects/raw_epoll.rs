//! `raw-epoll`: an echo server by hand, at the floor of the system: one edge-triggered registration a connection, one buffer for all.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

pub const NAME: &str = "raw-epoll";

struct Connection {
    socket: OwnedFd,
    /// What could not be sent yet.
    unsent: Vec<u8>,
}

/// Serves for ever.
pub fn serve(listener: &TcpListener, buffer: usize) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener.as_fd(), EventData::new_u64(u64::MAX), EventFlags::IN | EventFlags::ET)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events: Vec<epoll::Event> = Vec::with_capacity(1024);
    let mut buf = vec![0; buffer];
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let key = event.data.u64();
            if key == u64::MAX {
                accept(&epoll, listener, &mut connections)?;
                continue;
            }
            let place = &mut connections[key as usize];
            if let Some(connection) = place {
                if !echo(connection, &mut buf) {
                    *place = None;
                }
            }
        }
    }
}

fn accept(
    epoll: &OwnedFd,
    listener: &TcpListener,
    connections: &mut Vec<Option<Connection>>,
) -> io::Result<()> {
    while let Ok(socket) = rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(epoll, &socket, EventData::new_u64(connections.len() as u64), flags)?;
        connections.push(Some(Connection { socket, unsent: Vec::new() }));
    }
    Ok(())
}

/// Says whether the connection goes on.
fn echo(connection: &mut Connection, buf: &mut [u8]) -> bool {
    if !connection.unsent.is_empty() {
        match rustix::net::send(&connection.socket, &connection.unsent, SendFlags::NOSIGNAL) {
            Ok(n) => drop(connection.unsent.drain(..n)),
            Err(rustix::io::Errno::AGAIN) => return true,
            Err(_) => return false,
        }
        if !connection.unsent.is_empty() {
            return true;
        }
    }
    loop {
        let n = match rustix::net::recv(&connection.socket, &mut *buf, RecvFlags::empty()) {
            Ok((0, _)) => return false,
            Ok((n, _)) => n,
            Err(rustix::io::Errno::AGAIN) => return true,
            Err(_) => return false,
        };
        let sent = match rustix::net::send(&connection.socket, &buf[..n], SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(rustix::io::Errno::AGAIN) => 0,
            Err(_) => return false,
        };
        if sent < n {
            connection.unsent.extend_from_slice(&buf[sent..n]);
            return true;
        }
        // A short read of a TCP stream: there is no more.
        if n < buf.len() {
            return true;
        }
    }
}
