//! [`UCred`]: who is at the other end of a Unix socket.

/// Who the peer of a Unix socket was when it connected or listened. The system vouches for it: a peer cannot lie, but it may have passed the socket on since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UCred {
    uid: u32,
    gid: u32,
    pid: Option<i32>,
}

impl UCred {
    /// Makes one, for a reactor of one's own.
    pub fn new(uid: u32, gid: u32, pid: Option<i32>) -> Self {
        Self { uid, gid, pid }
    }

    /// Its effective user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Its effective group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Its process, where the system tells (Linux), and where it can be seen from ours: not that of another PID namespace. The number may be another process's by now.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }
}
