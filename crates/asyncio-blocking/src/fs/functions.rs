//! The functions of [`std::fs`].

use std::fs::{self, Metadata, Permissions};
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};

use asyncio_base::budget;

use super::cached;
use super::error::{failed, on_path};

/// Reads a whole file: [`std::fs::read`].
///
/// # Errors
///
/// Fails where it cannot be opened or read; the message names it.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let text = asyncio_blocking::fs::read("Cargo.toml").await?;
///     assert!(text.starts_with(b"[package]"));
///     let error = asyncio_blocking::fs::read("no such file").await.unwrap_err();
///     assert!(error.to_string().starts_with("cannot read `no such file`: "));
///     Ok(())
/// })
/// # }
/// ```
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    poll_fn(budget::poll_proceed).await;
    if let Some(bytes) = cached::read(path) {
        budget::spend();
        return Ok(bytes);
    }
    on_path("read", path, |path| fs::read(path)).await
}

/// Reads a whole file that is text: [`std::fs::read_to_string`].
///
/// # Errors
///
/// Fails as [`read`] does, and with `InvalidData` where it is no UTF-8.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let path = path.as_ref();
    let bytes = read(path).await?;
    String::from_utf8(bytes)
        .map_err(|error| failed("read", path, io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Writes a whole file, in place of one that may be there: [`std::fs::write`].
///
/// # Errors
///
/// Fails where it cannot be made or written; the message names it. Then it may have a part.
///
/// # Cancel safety
///
/// Dropped before it has begun, it writes nothing; afterwards, everything.
pub async fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let contents = contents.as_ref().to_vec();
    on_path("write", path.as_ref(), move |path| fs::write(path, contents)).await
}

/// Copies a file, with its permissions, and says how many bytes it has: [`std::fs::copy`].
///
/// # Errors
///
/// Fails where one cannot be read or the other cannot be written; the message names the first.
///
/// # Cancel safety
///
/// Dropped before it has begun, it copies nothing; afterwards, everything.
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let to = to.as_ref().to_owned();
    on_path("copy", from.as_ref(), move |from| fs::copy(from, to)).await
}

/// Renames a file or a directory, in place of one that may be there: [`std::fs::rename`].
///
/// # Errors
///
/// Fails where it cannot; the message names the former name.
///
/// # Cancel safety
///
/// Dropped before it has begun, it does nothing; afterwards, everything.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let to = to.as_ref().to_owned();
    on_path("rename", from.as_ref(), move |from| fs::rename(from, to)).await
}

/// Gives a file another name beside its own: [`std::fs::hard_link`].
///
/// # Errors
///
/// Fails where it cannot; the message names the first name.
///
/// # Cancel safety
///
/// Dropped before it has begun, it does nothing; afterwards, everything.
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let link = link.as_ref().to_owned();
    on_path("link", original.as_ref(), move |original| fs::hard_link(original, link)).await
}

/// Makes a symbolic link to `original`: [`std::os::unix::fs::symlink`].
///
/// # Errors
///
/// Fails where it cannot; the message names the link.
///
/// # Cancel safety
///
/// Dropped before it has begun, it does nothing; afterwards, everything.
#[cfg(unix)]
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let original = original.as_ref().to_owned();
    on_path("make the link", link.as_ref(), move |link| std::os::unix::fs::symlink(original, link)).await
}

/// Sets what may be done to a file or a directory: [`std::fs::set_permissions`].
///
/// # Errors
///
/// Fails where that cannot be set; the message names it.
///
/// # Cancel safety
///
/// Dropped before it has begun, it does nothing; afterwards, everything.
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    on_path("set the permissions of", path.as_ref(), move |path| fs::set_permissions(path, permissions)).await
}

/// Says whether there is something of this name: [`std::fs::exists`].
///
/// # Errors
///
/// Fails where that cannot be known; the message names it.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it.
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    on_path("look for", path.as_ref(), Path::try_exists).await
}

macro_rules! of_one_path {
    ($($(#[$doc:meta])* $name:ident($doing:literal, $f:path) -> $output:ty;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// Fails where that cannot be done; the message names it.
            ///
            /// # Cancel safety
            ///
            /// Dropped before it has begun, it does nothing; afterwards, everything.
            pub async fn $name(path: impl AsRef<Path>) -> io::Result<$output> {
                on_path($doing, path.as_ref(), |path| $f(path)).await
            }
        )*
    };
}

of_one_path! {
    /// Returns what there is to know of a file or a directory, by way of a symbolic link: [`std::fs::metadata`].
    metadata("look at", fs::metadata) -> Metadata;
    /// Returns what there is to know of a file, a directory or a symbolic link: [`std::fs::symlink_metadata`].
    symlink_metadata("look at", fs::symlink_metadata) -> Metadata;
    /// Returns the name that a file or a directory has from the root on, without links: [`std::fs::canonicalize`].
    canonicalize("find", fs::canonicalize) -> PathBuf;
    /// Returns what a symbolic link points to: [`std::fs::read_link`].
    read_link("read the link", fs::read_link) -> PathBuf;
    /// Makes a directory: [`std::fs::create_dir`].
    create_dir("make the directory", fs::create_dir) -> ();
    /// Makes a directory, and those around it that are not there yet: [`std::fs::create_dir_all`].
    create_dir_all("make the directory", fs::create_dir_all) -> ();
    /// Removes an empty directory: [`std::fs::remove_dir`].
    remove_dir("remove the directory", fs::remove_dir) -> ();
    /// Removes a directory and everything in it: [`std::fs::remove_dir_all`].
    remove_dir_all("remove the directory", fs::remove_dir_all) -> ();
    /// Removes a file: [`std::fs::remove_file`].
    remove_file("remove", fs::remove_file) -> ();
}
