//! The one face that protocols of both kinds have for the driver. Public for the bounds of functions, not for users.

use std::io;
use std::task::{Poll, ready};

use crate::protocol::callbacks::{BufferedProtocol, OnEof, Protocol};
use crate::protocol::transport::Transport;

/// Either kind of protocol. Which one, the compiler knows by the trait that it implements: one must not implement both.
pub trait AnyProtocol<Kind>: Sized + 'static {
    /// What the driver has of it.
    #[doc(hidden)]
    type Driven: Driven + AsMut<Self> + 'static;

    /// Gives it to the driver.
    #[doc(hidden)]
    fn driven(self) -> Self::Driven;
}

/// [`AnyProtocol`] of a [`Protocol`].
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "it only stands for a kind")]
pub enum Plain {}

/// [`AnyProtocol`] of a [`BufferedProtocol`].
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "it only stands for a kind")]
pub enum Buffered {}

impl<P: Protocol> AnyProtocol<Plain> for P {
    type Driven = DrivenPlain<P>;

    fn driven(self) -> DrivenPlain<P> {
        DrivenPlain(self)
    }
}

impl<P: BufferedProtocol> AnyProtocol<Buffered> for P {
    type Driven = DrivenBuffered<P>;

    fn driven(self) -> DrivenBuffered<P> {
        DrivenBuffered(self)
    }
}

/// Receives into a buffer.
pub type Receive<'a> = dyn FnMut(&mut [u8]) -> Poll<io::Result<usize>> + 'a;

/// What the driver asks of a protocol of either kind.
pub trait Driven {
    /// As the protocol's.
    fn connection_made(&mut self, transport: Transport);
    /// Receives once, into its own buffer or into `shared`, and tells of it. 0 is the end.
    fn receive(&mut self, receive: &mut Receive<'_>, shared: &mut [u8]) -> Poll<io::Result<usize>>;
    /// As the protocol's.
    fn eof_received(&mut self) -> OnEof;
    /// As the protocol's.
    fn connection_lost(&mut self, error: Option<io::Error>);
    /// As the protocol's.
    fn pause_writing(&mut self);
    /// As the protocol's.
    fn resume_writing(&mut self);
}

/// A [`Protocol`] as the driver sees it.
#[derive(Debug)]
pub struct DrivenPlain<P>(P);

/// A [`BufferedProtocol`] as the driver sees it.
#[derive(Debug)]
pub struct DrivenBuffered<P>(P);

/// Five callbacks are the same for both.
macro_rules! impl_driven {
    ($driven:ident, $protocol:ident, $receive:item) => {
        impl<P: $protocol> Driven for $driven<P> {
            $receive

            fn connection_made(&mut self, transport: Transport) {
                self.0.connection_made(transport);
            }

            fn eof_received(&mut self) -> OnEof {
                self.0.eof_received()
            }

            fn connection_lost(&mut self, error: Option<io::Error>) {
                self.0.connection_lost(error);
            }

            fn pause_writing(&mut self) {
                self.0.pause_writing();
            }

            fn resume_writing(&mut self) {
                self.0.resume_writing();
            }
        }

        impl<P> AsMut<P> for $driven<P> {
            fn as_mut(&mut self) -> &mut P {
                &mut self.0
            }
        }
    };
}

impl_driven!(
    DrivenPlain,
    Protocol,
    #[inline]
    fn receive(&mut self, receive: &mut Receive<'_>, shared: &mut [u8]) -> Poll<io::Result<usize>> {
        let n = ready!(receive(shared))?;
        if n > 0 {
            self.0.data_received(&shared[..n]);
        }
        Poll::Ready(Ok(n))
    }
);

impl_driven!(
    DrivenBuffered,
    BufferedProtocol,
    fn receive(&mut self, receive: &mut Receive<'_>, shared: &mut [u8]) -> Poll<io::Result<usize>> {
        let buffer = self.0.get_buffer(shared.len());
        if buffer.is_empty() {
            let why = "`get_buffer` of a protocol gave an empty buffer";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        let n = ready!(receive(buffer))?;
        if n > 0 {
            self.0.buffer_updated(n);
        }
        Poll::Ready(Ok(n))
    }
);
