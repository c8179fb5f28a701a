//! Socket options, through `socket2`, the same on every platform.

use std::io;

use socket2::Socket;

use super::gro::{gro, set_gro};
use crate::socket::{OptionName, SocketOption};

pub(crate) fn set_option(socket: &Socket, option: SocketOption) -> io::Result<()> {
    match option {
        SocketOption::NoDelay(on) => socket.set_tcp_nodelay(on),
        SocketOption::KeepAlive(on) => socket.set_keepalive(on),
        SocketOption::ReuseAddr(on) => socket.set_reuse_address(on),
        SocketOption::ReusePort(on) => set_reuse_port(socket, on),
        SocketOption::OnlyV6(on) => socket.set_only_v6(on),
        SocketOption::RecvBufferSize(size) => socket.set_recv_buffer_size(size),
        SocketOption::SendBufferSize(size) => socket.set_send_buffer_size(size),
        SocketOption::Linger(linger) => socket.set_linger(linger),
        SocketOption::Ttl(hops) => set_hops(socket, hops),
        SocketOption::Broadcast(on) => socket.set_broadcast(on),
        SocketOption::Gro(on) => set_gro(socket, on),
        SocketOption::JoinMulticastV4(group, interface) => socket.join_multicast_v4(&group, &interface),
        SocketOption::LeaveMulticastV4(group, interface) => socket.leave_multicast_v4(&group, &interface),
        SocketOption::JoinMulticastV6(group, interface) => socket.join_multicast_v6(&group, interface),
        SocketOption::LeaveMulticastV6(group, interface) => socket.leave_multicast_v6(&group, interface),
        SocketOption::MulticastLoop(on) if is_v6(socket)? => socket.set_multicast_loop_v6(on),
        SocketOption::MulticastLoop(on) => socket.set_multicast_loop_v4(on),
        SocketOption::MulticastTtl(hops) if is_v6(socket)? => socket.set_multicast_hops_v6(hops),
        SocketOption::MulticastTtl(hops) => socket.set_multicast_ttl_v4(hops),
    }
}

pub(crate) fn option(socket: &Socket, name: OptionName) -> io::Result<SocketOption> {
    Ok(match name {
        OptionName::NoDelay => SocketOption::NoDelay(socket.tcp_nodelay()?),
        OptionName::KeepAlive => SocketOption::KeepAlive(socket.keepalive()?),
        OptionName::ReuseAddr => SocketOption::ReuseAddr(socket.reuse_address()?),
        OptionName::ReusePort => SocketOption::ReusePort(reuse_port(socket)?),
        OptionName::OnlyV6 => SocketOption::OnlyV6(socket.only_v6()?),
        OptionName::RecvBufferSize => SocketOption::RecvBufferSize(socket.recv_buffer_size()?),
        OptionName::SendBufferSize => SocketOption::SendBufferSize(socket.send_buffer_size()?),
        OptionName::Linger => SocketOption::Linger(socket.linger()?),
        OptionName::Ttl => SocketOption::Ttl(hops(socket)?),
        OptionName::Broadcast => SocketOption::Broadcast(socket.broadcast()?),
        OptionName::Gro => SocketOption::Gro(gro(socket)?),
        OptionName::MulticastLoop if is_v6(socket)? => {
            SocketOption::MulticastLoop(socket.multicast_loop_v6()?)
        }
        OptionName::MulticastLoop => SocketOption::MulticastLoop(socket.multicast_loop_v4()?),
        OptionName::MulticastTtl if is_v6(socket)? => SocketOption::MulticastTtl(socket.multicast_hops_v6()?),
        OptionName::MulticastTtl => SocketOption::MulticastTtl(socket.multicast_ttl_v4()?),
    })
}

fn is_v6(socket: &Socket) -> io::Result<bool> {
    Ok(socket.local_addr()?.is_ipv6())
}

fn set_hops(socket: &Socket, hops: u32) -> io::Result<()> {
    if is_v6(socket)? {
        return socket.set_unicast_hops_v6(hops);
    }
    socket.set_ttl_v4(hops)
}

fn hops(socket: &Socket) -> io::Result<u32> {
    if is_v6(socket)? { socket.unicast_hops_v6() } else { socket.ttl_v4() }
}

/// FreeBSD spreads connections only over sockets that ask for it.
#[cfg(target_os = "freebsd")]
fn set_reuse_port(socket: &Socket, on: bool) -> io::Result<()> {
    socket.set_reuse_port_lb(on)
}

#[cfg(target_os = "freebsd")]
fn reuse_port(socket: &Socket) -> io::Result<bool> {
    socket.reuse_port_lb()
}

#[cfg(all(unix, not(target_os = "freebsd")))]
fn set_reuse_port(socket: &Socket, on: bool) -> io::Result<()> {
    socket.set_reuse_port(on)
}

#[cfg(all(unix, not(target_os = "freebsd")))]
fn reuse_port(socket: &Socket) -> io::Result<bool> {
    socket.reuse_port()
}

#[cfg(not(unix))]
fn set_reuse_port(_socket: &Socket, _on: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn reuse_port(_socket: &Socket) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}
