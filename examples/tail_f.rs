//! `tail -f`: prints what a file has, and then what is added to it, until there is a line "end" or somebody presses Ctrl-C.
//!
//! `cargo run --release --example tail_f -- FILE`; without a file it follows one that it writes itself.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use asyncio::fs::{self, File, OpenOptions};
use asyncio::io::stdout;
use asyncio::{interval, race, sleep, spawn_local};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// As often as a reader notices.
const LOOK: Duration = Duration::from_millis(20);

/// Prints what comes; the end of the file is where it goes on later.
async fn follow(path: &Path) -> Result<usize, Box<dyn Error>> {
    let (mut file, mut out) = (File::open(path).await?, stdout());
    let (mut buf, mut line, mut lines) = (vec![0; 64 * 1024], Vec::new(), 0);
    let mut looks = interval(LOOK);
    loop {
        let n = file.read(&mut buf).await?;
        if n == 0 {
            out.flush().await?;
            looks.tick().await;
            continue;
        }
        out.write_all(&buf[..n]).await?;
        for part in buf[..n].split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") {
                lines += 1;
                if line == b"end\n" {
                    out.flush().await?;
                    return Ok(lines);
                }
                line.clear();
            }
        }
    }
}

/// Writes a line now and then, as a server does into its log.
async fn write_lines(path: PathBuf) -> std::io::Result<()> {
    let mut log = OpenOptions::new().append(true).open(path).await?;
    for n in 1..=5 {
        sleep(Duration::from_millis(15)).await;
        log.write_all(format!("line {n}\n").as_bytes()).await?;
        log.flush().await?;
    }
    log.write_all(b"end\n").await?;
    log.close().await
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Some(path) = std::env::args_os().nth(1) else {
        let path = std::env::temp_dir().join(format!("tail_f-{}", std::process::id()));
        fs::write(&path, "the first line\n").await?;
        let writer = spawn_local(write_lines(path.clone()));
        assert_eq!(follow(&path).await?, 7);
        writer.await??;
        return Ok(fs::remove_file(&path).await?);
    };
    let interrupted = async { asyncio::signal::ctrl_c().await.map(|()| 0).map_err(Into::into) };
    let lines: Result<usize, Box<dyn Error>> = race!(follow(Path::new(&path)), interrupted);
    lines.map(drop)
}
