//! [`Flags`]: what is known of a connection, in a word.

/// Some of the flags of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    /// `connection_made` has been called.
    pub(super) const MADE: Self = Self(1);
    /// A callback runs.
    pub(super) const IN_CALLBACK: Self = Self(1 << 1);
    /// Nothing is to be received for a while.
    pub(super) const READING_PAUSED: Self = Self(1 << 2);
    /// The peer has ended.
    pub(super) const EOF: Self = Self(1 << 3);
    /// This side is to end after what is unsent.
    pub(super) const ENDS: Self = Self(1 << 4);
    /// This side has ended.
    pub(super) const ENDED: Self = Self(1 << 5);
    /// The protocol knows that it may not write.
    pub(super) const TOLD_PAUSED: Self = Self(1 << 6);
    /// The connection is to be closed after what is unsent.
    pub(super) const CLOSING: Self = Self(1 << 7);
    /// It is to be closed at once.
    pub(super) const ABORTED: Self = Self(1 << 8);
    /// `connection_lost` has been called, or is being called.
    pub(super) const LOST: Self = Self(1 << 9);
    /// The protocol has buffers of its own.
    pub(super) const BUFFERED: Self = Self(1 << 10);
    /// More is unsent than there should be; the protocol knows it if [`TOLD_PAUSED`](Self::TOLD_PAUSED).
    pub(super) const PAUSED: Self = Self(1 << 11);
    /// TLS begins.
    pub(super) const SHAKING: Self = Self(1 << 12);
    /// Nothing is received while one of these is set.
    pub(super) const NO_READING: Self =
        Self(Self::READING_PAUSED.0 | Self::EOF.0 | Self::CLOSING.0 | Self::SHAKING.0);

    /// All that is known of a connection while nothing is the matter with it: it is made, and there is nothing to do but to receive.
    pub(super) const PLAIN: Self = Self::MADE;

    /// Whether all of those are set.
    pub(super) const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether one of those is set.
    pub(super) const fn has_any(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }

    /// Whether the protocol is to be told to pause, or to go on.
    pub(super) const fn has_news_of_marks(self) -> bool {
        self.has(Self::PAUSED) != self.has(Self::TOLD_PAUSED)
    }

    pub(super) const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    pub(super) const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}
