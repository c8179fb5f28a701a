//! The one face that protocols of both kinds have for the driver. Public for the bounds of functions, not for users.

use std::io;

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

/// What the driver asks of a protocol of either kind.
pub trait Driven {
    /// As the protocol's.
    fn connection_made(&mut self, transport: Transport);
    /// Says whether it has buffers of its own.
    fn is_buffered(&self) -> bool;
    /// Gives its own buffer, if it has one.
    fn buffer(&mut self, size_hint: usize) -> &mut [u8];
    /// Bytes have come, into its own buffer, or else into that one.
    fn received(&mut self, n: usize, shared: &[u8]);
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
    ($driven:ident, $protocol:ident { $($receiving:tt)* }) => {
        impl<P: $protocol> Driven for $driven<P> {
            $($receiving)*

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

impl_driven!(DrivenPlain, Protocol {
    fn is_buffered(&self) -> bool {
        false
    }

    fn buffer(&mut self, _: usize) -> &mut [u8] {
        &mut []
    }

    #[inline]
    fn received(&mut self, n: usize, shared: &[u8]) {
        self.0.data_received(&shared[..n]);
    }
});

impl_driven!(DrivenBuffered, BufferedProtocol {
    fn is_buffered(&self) -> bool {
        true
    }

    fn buffer(&mut self, size_hint: usize) -> &mut [u8] {
        self.0.get_buffer(size_hint)
    }

    fn received(&mut self, n: usize, _: &[u8]) {
        self.0.buffer_updated(n);
    }
});
