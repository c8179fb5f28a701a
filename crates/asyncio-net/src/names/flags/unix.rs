//! The flags of getaddrinfo(3) and getnameinfo(3), on Unix.

pub(super) use libc::{
    AI_CANONNAME, AI_NUMERICHOST, AI_PASSIVE, NI_DGRAM, NI_NAMEREQD, NI_NUMERICHOST, NI_NUMERICSERV,
};
