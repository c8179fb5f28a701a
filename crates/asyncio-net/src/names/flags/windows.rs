//! The flags of `getaddrinfo` and `getnameinfo`, on Windows: from its `ws2def.h` and `ws2tcpip.h`.

pub(super) const AI_PASSIVE: i32 = 0x1;
pub(super) const AI_CANONNAME: i32 = 0x2;
pub(super) const AI_NUMERICHOST: i32 = 0x4;
pub(super) const NI_NUMERICHOST: i32 = 0x2;
pub(super) const NI_NAMEREQD: i32 = 0x4;
pub(super) const NI_NUMERICSERV: i32 = 0x8;
pub(super) const NI_DGRAM: i32 = 0x10;
