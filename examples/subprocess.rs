//! Child processes: run one, talk to one, join two by a pipe, and end one that does not listen.
//!
//! `cargo run --release --example subprocess`.

#[cfg(unix)]
mod unix {
    use std::error::Error;
    use std::time::Duration;

    use asyncio::process::{Command, Stdio};
    use asyncio::timeout;

    pub async fn main() -> Result<(), Box<dyn Error>> {
        // Run one, and collect what it writes.
        let output = Command::new("uname").arg("-s").output().await?;
        println!("uname: {}", String::from_utf8(output.stdout)?.trim());

        // A line for the shell; what comes from elsewhere is an argument of its own.
        let status = Command::shell("test \"$1\" = 'one word'").args(["sh", "one word"]).status().await?;
        assert!(status.success());

        // Send it something, and read what it makes of that: at once, so that neither waits for the other.
        let mut sort = Command::new("sort").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = sort.communicate("pear\napple\n").await?;
        assert_eq!(output.stdout, b"apple\npear\n");

        // Talk to one, line by line.
        let mut bc = Command::shell("while read a b; do echo $((a + b)); done")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout) = (bc.stdin.take().ok_or("a pipe")?, bc.stdout.take().ok_or("a pipe")?);
        let (mut to, mut from) = (stdin.into_stream(), stdout.into_stream());
        for n in 1..=3 {
            to.write(format!("{n} {n}\n").as_bytes());
            to.drain().await?;
            let sum = from.read_line().await?.ok_or("it answers")?;
            println!("{n} + {n} = {}", String::from_utf8(sum)?.trim());
        }
        to.close().await?;
        assert!(bc.wait().await?.success());

        // The shell's `seq 1000 | wc -l`.
        let mut seq = Command::new("seq").arg("1000").stdout(Stdio::piped()).spawn()?;
        let pipe = Stdio::try_from(seq.stdout.take().ok_or("a pipe")?)?;
        let count = Command::new("wc").arg("-l").stdin(pipe).output().await?;
        println!("seq 1000 | wc -l: {}", String::from_utf8(count.stdout)?.trim());
        assert!(seq.wait().await?.success());

        // One that takes too long is asked to end, and one that is deaf to that is ended.
        let slow = Command::shell("trap '' TERM; while :; do sleep 0.01; done").spawn()?;
        assert!(timeout(Duration::from_millis(50), slow.wait()).await.is_err());
        println!("the slow one: {}", slow.stop(Duration::from_millis(50)).await?);
        Ok(())
    }
}

#[cfg(unix)]
#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    unix::main().await
}

#[cfg(not(unix))]
fn main() {}
