//! A worker: this program, started once more, which runs one call after the other. Nothing is awaited there.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::fs::FileType;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::frame::{Answer, HEAD, Reply, Request, framed, length};
use super::functions::Functions;

/// Says to a process that it is one: by the number of the socket that is its standard input then, and the connection to its pool. What a worker starts inherits this,
/// and has not that.
pub(super) const MARK: &str = "ASYNCIO_PROCESS_POOL_WORKER";
/// What a worker says before anything else.
pub(super) const HELLO: u8 = b'!';

/// Serves, and ends the process, where it is a worker.
pub(super) fn serve_if_worker(functions: &Functions) {
    let Ok(mark) = std::env::var(MARK) else { return };
    if number_of_socket(&io::stdin()).is_none_or(|number| number.to_string() != mark) {
        return;
    }
    let code = match serve(functions) {
        Ok(()) => 0,
        // The pool is gone: nobody is there to be told.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            eprintln!("a worker of a pool of processes cannot go on: {error}");
            1
        }
    };
    std::process::exit(code);
}

/// The number of an open socket, which no other one has meanwhile.
pub(super) fn number_of_socket(descriptor: &impl AsFd) -> Option<u64> {
    let looked = rustix::fs::fstat(descriptor).ok()?;
    let is_socket = FileType::from_raw_mode(looked.st_mode) == FileType::Socket;
    is_socket.then_some(looked.st_ino)
}

fn serve(functions: &Functions) -> io::Result<()> {
    // Functions that read their standard input, and children, are not to have this.
    let mut pool = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?);
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    drop(nothing);
    pool.write_all(&[HELLO])?;
    let mut message = Vec::new();
    loop {
        let mut head = [0; HEAD];
        match pool.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        message.resize(length(head), 0);
        pool.read_exact(&mut message)?;
        let request: Request<'_> = postcard::from_bytes(&message).map_err(io::Error::other)?;
        let me = std::process::id();
        let answer = within(request.memory_max, || functions.run(request.function, request.argument));
        if std::process::id() != me {
            // The function has forked, and this is the other one: it has nobody to answer.
            std::process::exit(0);
        }
        let reply = framed(&Reply { number: request.number, answer }).map_err(io::Error::other)?;
        pool.write_all(&reply)?;
        // Not to be kept for ever for one that was large.
        message.clear();
        message.shrink_to(1 << 20);
    }
}

/// Runs a call that may take so much memory: the address space is limited meanwhile, as setrlimit(2) has it, and more is an allocation that fails.
fn within(memory_max: Option<u64>, run: impl FnOnce() -> Answer) -> Answer {
    let Some(more) = memory_max else { return run() };
    let refused = |what: &str| Answer::Encoding(format!("its memory cannot be limited: {what}"));
    let Some(now) = address_space() else { return refused("the system does not say how much there is") };
    let former = getrlimit(Resource::As);
    // Never more than it may have anyway.
    let limit = former.current.unwrap_or(u64::MAX).min(now.saturating_add(more));
    if let Err(error) = setrlimit(Resource::As, Rlimit { current: Some(limit), maximum: former.maximum }) {
        return refused(&error.to_string());
    }
    let answer = run();
    // It was so before.
    let _ = setrlimit(Resource::As, former);
    answer
}

/// How much this process has now, in bytes.
fn address_space() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').next()?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
