//! [`File`]: an open file.
//!
//! - F1: one call is on its way at a time; it has the file's place, so that what is read and written comes in the order in which it was asked for.
//! - F2: a read fetches more than was asked for. What was fetched and not taken is given back, by moving the place back, before anything is done that has to do with
//!   the place. What has no place, such as a terminal, keeps it.
//! - F3: a write takes bytes, and is done at once for whoever writes; the thread writes them. A flush waits for that, and whatever is done next hears of an error. A
//!   file that is dropped before its thread has begun writes them there and then, and so does one whose thread never comes: they are never lost in silence.

use std::any::Any;
use std::fmt;
use std::fs::{Metadata, Permissions};
use std::future::{Future, poll_fn};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::{budget, report};
use futures_io::{AsyncRead, AsyncSeek, AsyncWrite};

use super::error::{flatten, on_path};
use super::{CHUNK, OpenOptions, cached};
use crate::call::Call;
use crate::runtime::to_thread;

/// An open file: [`std::fs::File`], which is read and written without blocking.
///
/// What was written is with the system after a [flush](futures_io::AsyncWrite::poll_flush) or a close, and on the disk after [`sync_all`](Self::sync_all).
///
/// # Cancel safety
///
/// A read that is dropped has taken nothing; a write that is dropped while it waits has written nothing. A seek, and whatever else is dropped in between, may have been done
/// or not; what comes next comes behind it.
///
/// # Examples
///
/// ```
/// use asyncio_blocking::fs::File;
/// use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, io::SeekFrom};
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("asyncio-file-{}", std::process::id()));
/// asyncio_runtime::run(async {
///     let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).await?;
///     file.write_all(b"some text").await?;
///     file.seek(SeekFrom::Start(5)).await?;
///     let mut text = String::new();
///     file.read_to_string(&mut text).await?;
///     assert_eq!(text, "text");
///     # std::fs::remove_file(&path)?;
///     Ok(())
/// })
/// # }
/// ```
pub struct File {
    std: Arc<std::fs::File>,
    state: State,
    /// What was fetched, from `taken` on (F2).
    fetched: Vec<u8>,
    taken: usize,
    /// It is no file on a disk: what was fetched cannot be given back.
    has_no_place: bool,
}

/// What is on its way (F1).
enum State {
    Idle,
    Reading(Call<io::Result<Vec<u8>>>),
    Writing(Call<()>, Arc<Mutex<Fate>>),
    /// Where to; `None` if what was fetched is given back.
    Seeking(Call<io::Result<u64>>, Option<SeekFrom>),
    Other(Call<io::Result<Box<dyn Any + Send>>>),
}

/// What a write has come to.
#[derive(Default)]
struct Fate {
    /// What is to be written, until a thread has come to it.
    bytes: Option<Vec<u8>>,
    error: Option<io::Error>,
    /// Nobody will be told.
    is_left: bool,
}

impl File {
    /// Opens one that is there, to read it.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be opened; the message names it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        on_path("open", path.as_ref(), |path| std::fs::File::open(path)).await.map(Self::from_std)
    }

    /// Makes one to be written, in place of one that may be there.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be made; the message names it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has begun, it does nothing; afterwards, the file is made.
    pub async fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        on_path("create", path.as_ref(), |path| std::fs::File::create(path)).await.map(Self::from_std)
    }

    /// Says how one is to be opened.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Takes over one of std's.
    pub fn from_std(std: std::fs::File) -> Self {
        Self { std: Arc::new(std), state: State::Idle, fetched: Vec::new(), taken: 0, has_no_place: false }
    }

    /// Gives std's back, once what was written is with the system.
    ///
    /// # Errors
    ///
    /// Fails where that was not written.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it drops the file.
    pub async fn into_std(mut self) -> io::Result<std::fs::File> {
        poll_fn(|cx| self.poll_rest(cx)).await?;
        self.std.try_clone()
    }

    /// Waits until everything is on the disk: [`std::fs::File::sync_all`], fsync(2).
    ///
    /// # Errors
    ///
    /// Fails where that was not written, or cannot be brought there.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn sync_all(&mut self) -> io::Result<()> {
        self.do_other(std::fs::File::sync_all).await
    }

    /// The same of what it has, without its times and the like: [`std::fs::File::sync_data`], fdatasync(2).
    ///
    /// # Errors
    ///
    /// Fails where that was not written, or cannot be brought there.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn sync_data(&mut self) -> io::Result<()> {
        self.do_other(std::fs::File::sync_data).await
    }

    /// Cuts it, or fills it with zeros, to so many bytes: [`std::fs::File::set_len`].
    ///
    /// # Errors
    ///
    /// Fails where that cannot be done.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has begun, it does nothing; afterwards, everything.
    pub async fn set_len(&mut self, size: u64) -> io::Result<()> {
        // What was fetched may be cut off.
        poll_fn(|cx| self.poll_rest(cx)).await?;
        self.do_other(move |file| file.set_len(size)).await
    }

    /// Returns what there is to know of it.
    ///
    /// # Errors
    ///
    /// Fails where that cannot be known, and where what was written before was not.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn metadata(&mut self) -> io::Result<Metadata> {
        self.do_other(std::fs::File::metadata).await
    }

    /// Sets what may be done to it.
    ///
    /// # Errors
    ///
    /// Fails where that cannot be set.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has begun, it does nothing; afterwards, everything.
    pub async fn set_permissions(&mut self, permissions: Permissions) -> io::Result<()> {
        self.do_other(move |file| file.set_permissions(permissions)).await
    }

    /// Does something that has nothing to do with the place, behind what is on its way.
    async fn do_other<T: Send + 'static>(
        &mut self,
        f: impl FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        poll_fn(|cx| self.poll_idle(cx)).await?;
        let std = self.std.clone();
        self.state =
            State::Other(to_thread(move || f(&std).map(|done| Box::new(done) as Box<dyn Any + Send>)));
        let done = poll_fn(|cx| {
            let State::Other(call) = &mut self.state else { unreachable!("it is borrowed meanwhile") };
            let done = flatten(ready!(Pin::new(call).poll(cx)));
            self.state = State::Idle;
            Poll::Ready(done)
        });
        // OK because it is what was put in above.
        done.await.map(|done| *done.downcast::<T>().expect("it is of that type"))
    }

    /// Waits until no call is on its way (F1), and keeps what was fetched. What a seek or the like came to that was given up is nobody's.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = match &mut self.state {
            State::Idle => return Poll::Ready(Ok(())),
            State::Reading(call) => flatten(ready!(Pin::new(call).poll(cx))).map(|fetched| {
                self.fetched = fetched;
                self.taken = 0;
            }),
            State::Writing(call, fate) => {
                let _ = ready!(Pin::new(call).poll(cx));
                // No thread has come to it, as where the loop has ended meanwhile: then it is done here.
                write_out(&self.std, fate);
                fate.lock().error.take().map_or(Ok(()), Err)
            }
            State::Seeking(call, asked) => match (flatten(ready!(Pin::new(call).poll(cx))), &asked) {
                (Ok(_), None) => {
                    self.taken = self.fetched.len();
                    Ok(())
                }
                (Err(error), None) if error.kind() == io::ErrorKind::NotSeekable => {
                    self.has_no_place = true;
                    Ok(())
                }
                (Err(error), None) => Err(error),
                _ => Ok(()),
            },
            State::Other(call) => {
                let _ = ready!(Pin::new(call).poll(cx));
                Ok(())
            }
        };
        self.state = State::Idle;
        Poll::Ready(done)
    }

    /// The same, and gives back what was fetched and not taken (F2), where that can be.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_idle(cx))?;
        let left = i64::try_from(self.fetched.len() - self.taken).expect("a chunk is small");
        if left == 0 || self.has_no_place {
            return Poll::Ready(Ok(()));
        }
        self.start_seek(SeekFrom::Current(-left), None);
        self.poll_idle(cx)
    }

    fn start_seek(&mut self, to: SeekFrom, asked: Option<SeekFrom>) {
        let std = self.std.clone();
        self.state = State::Seeking(to_thread(move || (&*std).seek(to)), asked);
    }

    fn start_read(&mut self, mut bytes: Vec<u8>, count: usize) {
        let std = self.std.clone();
        self.state = State::Reading(to_thread(move || {
            bytes.resize(count, 0);
            let n = loop {
                match (&*std).read(&mut bytes) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            bytes.truncate(n);
            Ok(bytes)
        }));
    }

    fn start_write(&mut self, bytes: Vec<u8>) {
        let std = self.std.clone();
        let fate = Arc::new(Mutex::new(Fate { bytes: Some(bytes), ..Fate::default() }));
        let told = fate.clone();
        let call = to_thread(move || write_out(&std, &told));
        self.state = State::Writing(call, fate);
    }
}

/// Writes what is to be written, if nobody has.
fn write_out(mut std: &std::fs::File, fate: &Mutex<Fate>) {
    let bytes = fate.lock().bytes.take();
    let Some(Err(error)) = bytes.map(|bytes| std.write_all(&bytes)) else { return };
    let mut fate = fate.lock();
    if !fate.is_left {
        fate.error = Some(error);
        return;
    }
    drop(fate);
    report_lost(&error);
}

fn report_lost(error: &io::Error) {
    report::report(
        "blocking",
        format_args!("bytes that were written to a file which was dropped are lost: {error}"),
    );
}

impl AsyncRead for File {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(budget::poll_proceed(cx));
        let this = self.get_mut();
        let mut has_read = false;
        loop {
            has_read |= matches!(this.state, State::Reading(_));
            ready!(this.poll_idle(cx))?;
            let here = &this.fetched[this.taken..];
            // Nothing, where a read has just come to that, is the end.
            if !here.is_empty() || has_read || buf.is_empty() {
                let n = here.len().min(buf.len());
                buf[..n].copy_from_slice(&here[..n]);
                this.taken += n;
                budget::spend();
                return Poll::Ready(Ok(n));
            }
            if let Some(n) = cached::read_some(&this.std, buf) {
                budget::spend();
                return Poll::Ready(Ok(n));
            }
            let bytes = std::mem::take(&mut this.fetched);
            this.taken = 0;
            this.start_read(bytes, buf.len().clamp(CHUNK, 4 * CHUNK));
        }
    }
}

impl AsyncWrite for File {
    /// Takes bytes, at most 256 KiB, once those before are written (F3).
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_rest(cx))?;
        let n = buf.len().min(CHUNK);
        if n > 0 {
            this.start_write(buf[..n].to_vec());
        }
        Poll::Ready(Ok(n))
    }

    /// Waits until what was written is with the system.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.state, State::Writing(..)) { this.poll_idle(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl AsyncSeek for File {
    fn poll_seek(self: Pin<&mut Self>, cx: &mut Context<'_>, to: SeekFrom) -> Poll<io::Result<u64>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Seeking(call, asked) if *asked == Some(to) => {
                    let sought = flatten(ready!(Pin::new(call).poll(cx)));
                    this.state = State::Idle;
                    return Poll::Ready(sought);
                }
                _ => {
                    ready!(this.poll_rest(cx))?;
                    this.start_seek(to, Some(to));
                }
            }
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let State::Writing(call, fate) = std::mem::replace(&mut self.state, State::Idle) {
            drop(call);
            // What no thread has come to is done here.
            write_out(&self.std, &fate);
            let error = {
                let mut fate = fate.lock();
                // One that goes on tells it itself.
                fate.is_left = true;
                fate.error.take()
            };
            error.iter().for_each(report_lost);
        }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("std", &self.std).finish_non_exhaustive()
    }
}
