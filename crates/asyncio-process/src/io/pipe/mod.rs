//! [`pipe`], and its ends: descriptors that are read or written without blocking. pipe(7).

mod read_end;
mod reader;
mod write_end;
mod writer;

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;

use rustix::fs::FileType;

pub use reader::PipeReader;
pub use writer::PipeWriter;

/// Makes a pipe: what is written into one end comes out of the other.
///
/// Both are closed where another program is executed. To give an end to a child, there are [`PipeReader::into_blocking`] and
/// [`PipeWriter::into_blocking`].
///
/// # Errors
///
/// Fails where the process is out of descriptors.
///
/// # Examples
///
/// ```
/// use asyncio_process::io::pipe;
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let (mut reader, mut writer) = pipe()?;
///     writer.write_all(b"through a pipe").await?;
///     drop(writer);
///     let mut text = String::new();
///     reader.read_to_string(&mut text).await?;
///     assert_eq!(text, "through a pipe");
///     Ok(())
/// })
/// # }
/// ```
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (read, write) = both_ends()?;
    Ok((PipeReader::of_pipe(read)?, PipeWriter::of_pipe(write)?))
}

#[cfg(not(target_vendor = "apple"))]
fn both_ends() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

/// Where there is no pipe2(2): a child that is made between the two calls has the ends, too.
#[cfg(target_vendor = "apple")]
fn both_ends() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe()?;
    for end in [&read, &write] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok((read, write))
}

/// Refuses a descriptor that would block whatever it is told.
fn check(descriptor: &OwnedFd) -> io::Result<()> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(descriptor)?.st_mode);
    if !matches!(kind, FileType::Fifo | FileType::Socket | FileType::CharacterDevice) {
        let what = "only a pipe, a socket or a character device can be waited for: a file blocks, and is for threads";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(())
}

fn no_socket() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "a pipe is no socket")
}

fn other_direction() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "a pipe goes in one direction")
}

fn still_shared() -> io::Error {
    io::Error::other("the end of the pipe is still shared with what was made of it")
}

/// What a pipe has not, of what a socket has.
macro_rules! nothing_of_a_socket {
    () => {
        fn bind(&self, _addr: &SockAddr) -> io::Result<()> {
            Err(no_socket())
        }

        fn listen(&self, _backlog: u32) -> io::Result<()> {
            Err(no_socket())
        }

        fn poll_accept(
            &self,
            _cx: &mut Context<'_>,
            _waiter: &mut Waiter,
        ) -> Poll<io::Result<(Arc<dyn Socket>, SockAddr)>> {
            Poll::Ready(Err(no_socket()))
        }

        fn poll_connect(
            &self,
            _cx: &mut Context<'_>,
            _waiter: &mut Waiter,
            _addr: &SockAddr,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(no_socket()))
        }

        fn local_addr(&self) -> io::Result<SockAddr> {
            Err(no_socket())
        }

        fn peer_addr(&self) -> io::Result<SockAddr> {
            Err(no_socket())
        }

        fn set_option(&self, _option: SocketOption) -> io::Result<()> {
            Err(no_socket())
        }

        fn option(&self, _name: OptionName) -> io::Result<SocketOption> {
            Err(no_socket())
        }

        fn take_error(&self) -> io::Result<Option<io::Error>> {
            Ok(None)
        }
    };
}
use nothing_of_a_socket;

/// Says which ends a shutdown ends.
fn ends(how: Shutdown, direction: Shutdown) -> bool {
    how == Shutdown::Both || how == direction
}
