//! [`OpenOptions`]: how a file is opened.

use std::io;
use std::path::Path;

use super::error::on_path;
use super::file::File;

/// How a file is opened: [`std::fs::OpenOptions`], which it has the methods of.
///
/// # Examples
///
/// ```
/// use asyncio_blocking::fs::OpenOptions;
/// use futures_lite::AsyncWriteExt;
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("asyncio-options-{}", std::process::id()));
/// asyncio_runtime::run(async {
///     let mut log = OpenOptions::new().append(true).create(true).open(&path).await?;
///     log.write_all(b"a line\n").await?;
///     log.close().await?;
///     # std::fs::remove_file(&path)?;
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    std: std::fs::OpenOptions,
}

impl OpenOptions {
    /// Allows nothing yet.
    #[expect(clippy::new_without_default, reason = "as std's, it is not to be a default")]
    pub fn new() -> Self {
        Self { std: std::fs::OpenOptions::new() }
    }

    /// Sets whether it may be read.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.std.read(read);
        self
    }

    /// Sets whether it may be written.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.std.write(write);
        self
    }

    /// Sets whether everything is written behind the end.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.std.append(append);
        self
    }

    /// Sets whether one that is there is emptied.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.std.truncate(truncate);
        self
    }

    /// Sets whether one that is not there is made.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.std.create(create);
        self
    }

    /// Sets whether it must be made, and not be there.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.std.create_new(create_new);
        self
    }

    /// Sets the permissions of one that is made.
    #[cfg(unix)]
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        use std::os::unix::fs::OpenOptionsExt;
        self.std.mode(mode);
        self
    }

    /// Sets further flags of open(2).
    #[cfg(unix)]
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        use std::os::unix::fs::OpenOptionsExt;
        self.std.custom_flags(flags);
        self
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be opened so; the message names it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has begun, it does nothing; afterwards, a file that was to be made is made.
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let options = self.std.clone();
        on_path("open", path.as_ref(), move |path| options.open(path)).await.map(File::from_std)
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    fn from(std: std::fs::OpenOptions) -> Self {
        Self { std }
    }
}
