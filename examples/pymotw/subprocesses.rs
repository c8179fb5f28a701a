//! "Working with Subprocesses": other programs, told of by callbacks, read line by line, or asked all at once.

use std::io;

use asyncio::process::{
    Command, StandardStream, Stdio, SubprocessProtocol, SubprocessTransport, subprocess_exec,
};
use asyncio::sync::oneshot::{Sender, oneshot};

use crate::Outcome;

/// How full the disks are, whatever the language. Of that only the header is the same everywhere.
fn df() -> Command {
    let mut df = Command::new("df");
    df.args(["-P", "-k", "/"]).env("LC_ALL", "C").stdin(Stdio::null());
    df
}

/// The words of the first line.
fn columns(table: &[u8]) -> String {
    let table = String::from_utf8_lossy(table);
    let words: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    words.join(" ")
}

/// Collects what a child writes, and hands it over when nothing comes any more.
struct Collector {
    output: Vec<u8>,
    done: Option<Sender<io::Result<Vec<u8>>>>,
}

impl SubprocessProtocol for Collector {
    fn connection_made(&mut self, _transport: SubprocessTransport) {
        println!("protocol: the child was started");
    }

    fn pipe_data_received(&mut self, stream: StandardStream, data: &[u8]) {
        if stream == StandardStream::Stdout {
            self.output.extend_from_slice(data);
        }
    }

    fn process_exited(&mut self) {
        println!("protocol: the child has ended");
    }

    fn connection_lost(&mut self, error: Option<io::Error>) {
        println!("protocol: nothing comes any more");
        let outcome = error.map_or_else(|| Ok(std::mem::take(&mut self.output)), Err);
        if let Some(done) = self.done.take() {
            // Whoever asked may have gone.
            let _ = done.send(outcome);
        }
    }
}

/// Runs a program by a protocol, which is told of its output and of its end.
///
/// asyncio's original sets its result in `process_exited`, when output may still be on its way. Here `connection_lost` comes after the end of the child and
/// of each pipe, and is for that.
pub fn asyncio_subprocess_protocol() -> Outcome {
    asyncio::run(async {
        let (sender, output) = oneshot();
        let factory = || Collector { output: Vec::new(), done: Some(sender) };
        let (transport, _) = subprocess_exec(factory, &mut df()).await?;
        let output = output.await??;
        let status = transport.status()?.ok_or("it has ended")?;
        println!("main: the columns are: {}", columns(&output));
        println!("main: it has ended well: {}", status.success());
        Ok(())
    })
}

/// Runs a program, and reads what it writes line by line.
///
/// A child is reaped whoever waits for it, and there is no watcher of children to be set up.
pub fn asyncio_subprocess_coroutine() -> Outcome {
    asyncio::run(async {
        let mut child = df().stdout(Stdio::piped()).spawn()?;
        println!("main: the child was started");
        let mut lines = child.stdout.take().ok_or("it is a pipe")?.into_stream();
        let header = lines.read_line().await?.ok_or("it has a header")?;
        println!("main: the columns are: {}", columns(&header));
        let mut disks = 0;
        while lines.read_line().await?.is_some() {
            disks += 1;
        }
        println!("main: the root is on {disks} disk");
        println!("main: the child has ended well: {}", child.wait().await?.success());
        Ok(())
    })
}

/// Sends a text through a program: it is written, and the result is read, at the same time, so neither waits for the other.
pub fn asyncio_subprocess_coroutine_write() -> Outcome {
    asyncio::run(async {
        let mut tr = Command::new("tr");
        tr.args(["a-z", "A-Z"]).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped());
        let text = "what goes in is small\n";
        println!("main: sends {text:?}");
        let output = tr.spawn()?.communicate(text).await?;
        println!("main: has {:?}", String::from_utf8(output.stdout)?);
        println!("main: the child has ended well: {}", output.status.success());
        Ok(())
    })
}
