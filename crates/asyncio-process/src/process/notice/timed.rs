//! Where a child's end makes no event that a reactor hears of: it is looked at again and again, ever less often.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::{Child, ExitStatus};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use asyncio_timers::{Sleep, sleep};

/// Of a child that ends soon nobody notices.
const FIRST: Duration = Duration::from_millis(1);
/// Of one that does not, a look costs nothing.
const LAST: Duration = Duration::from_millis(20);

/// How one hears that a child has ended.
pub(crate) struct Notice;

/// One party's place among those that wait for a child.
#[derive(Default)]
pub(crate) struct Waits {
    next: Option<(Duration, Sleep)>,
}

impl Notice {
    pub(crate) fn new(_child: &Child) -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn send_signal(&self, _signal: i32) -> Option<io::Result<()>> {
        None
    }

    /// Waits until `look` sees it.
    pub(crate) fn poll(
        &self,
        cx: &mut Context<'_>,
        waits: &mut Waits,
        look: impl Fn() -> io::Result<Option<ExitStatus>>,
    ) -> Poll<io::Result<ExitStatus>> {
        loop {
            if let Some(status) = look()? {
                return Poll::Ready(Ok(status));
            }
            let (delay, pause) = waits.next.get_or_insert_with(|| (FIRST, sleep(FIRST)));
            ready!(Pin::new(&mut *pause).poll(cx));
            let delay = (*delay * 2).min(LAST);
            waits.next = Some((delay, sleep(delay)));
        }
    }
}
