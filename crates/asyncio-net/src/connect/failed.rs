//! [`ConnectFailed`]: why no address of a name accepted.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::about::about;

/// Every address of a name was tried in vain. It has what each of them said, in the order in which it was seen.
///
/// It comes inside of an [`io::Error`], whose kind is the last one's.
///
/// # Examples
///
/// ```
/// use asyncio_net::{ConnectFailed, TcpStream};
/// use std::net::SocketAddr;
///
/// # asyncio_executor::block_on(async {
/// // Nobody listens there.
/// let addrs: [SocketAddr; 2] = ["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()];
/// let error = TcpStream::connect(&addrs[..]).await.unwrap_err();
/// let all = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectFailed>()).unwrap();
/// assert_eq!(all.failures()[1].0, addrs[1]);
/// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
/// # });
/// ```
#[derive(Debug)]
pub struct ConnectFailed {
    failures: Vec<(SocketAddr, io::Error)>,
}

impl ConnectFailed {
    /// Returns each address with its error.
    pub fn failures(&self) -> &[(SocketAddr, io::Error)] {
        &self.failures
    }

    /// Makes the error of these failures.
    pub(super) fn of(mut failures: Vec<(SocketAddr, io::Error)>) -> io::Error {
        match failures.pop() {
            None => io::Error::new(io::ErrorKind::InvalidInput, "there is no address to connect to"),
            Some((addr, error)) if failures.is_empty() => about(format_args!("connecting to {addr}"), error),
            Some(last) => {
                let kind = last.1.kind();
                failures.push(last);
                io::Error::new(kind, Self { failures })
            }
        }
    }
}

impl fmt::Display for ConnectFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "none of {} addresses could be connected to", self.failures.len())?;
        for (n, (addr, error)) in self.failures.iter().enumerate() {
            write!(f, "{} {addr}: {error}", if n == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl Error for ConnectFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failures.last().map(|(_, error)| error as _)
    }
}
