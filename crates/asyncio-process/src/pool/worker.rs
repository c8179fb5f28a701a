//! A worker: this program, started once more, which runs one call after the other. Nothing is awaited there.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::fs::FileType;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::frame::{Answer, HEAD, Request, framed, length};
use super::functions::Functions;

/// Says to a process that it is one. Its standard input is then the connection to its pool.
pub(super) const MARK: &str = "ASYNCIO_PROCESS_POOL_WORKER";

/// Serves, and ends the process, where it is a worker.
pub(super) fn serve_if_worker(functions: &Functions) {
    // What a worker starts inherits the mark, and has not the connection.
    if std::env::var_os(MARK).is_none() || !is_socket(&io::stdin()) {
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

fn is_socket(descriptor: &impl AsFd) -> bool {
    let looked = rustix::fs::fstat(descriptor);
    looked.is_ok_and(|looked| FileType::from_raw_mode(looked.st_mode) == FileType::Socket)
}

fn serve(functions: &Functions) -> io::Result<()> {
    // Functions that read their standard input, and children, are not to have this.
    let mut pool = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?);
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    drop(nothing);
    let mut message = Vec::new();
    loop {
        let mut head = [0; HEAD];
        match pool.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        message.resize(length(head), 0);
        pool.read_exact(&mut message)?;
        let answer = match postcard::from_bytes::<Request<'_>>(&message) {
            Ok(request) => within(request.memory_max, || functions.run(request.function, request.argument)),
            Err(error) => Answer::Encoding(error.to_string()),
        };
        let answer = framed(&answer).map_err(io::Error::other)?;
        pool.write_all(&answer)?;
        // Not to be kept for ever for one that was large.
        message.clear();
        message.shrink_to(1 << 20);
    }
}

/// Runs a call that may take so much memory: the address space is limited meanwhile, as setrlimit(2) has it, and more is an allocation that fails.
fn within(memory_max: Option<u64>, run: impl FnOnce() -> Answer) -> Answer {
    let Some(more) = memory_max else { return run() };
    let former = getrlimit(Resource::As);
    let limit = former.maximum.unwrap_or(u64::MAX).min(address_space().saturating_add(more));
    if let Err(error) = setrlimit(Resource::As, Rlimit { current: Some(limit), maximum: former.maximum }) {
        return Answer::Encoding(format!("its memory cannot be limited: {error}"));
    }
    let answer = run();
    // It was so before.
    let _ = setrlimit(Resource::As, former);
    answer
}

/// How much this process has now, in bytes.
fn address_space() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm");
    let pages = pages.ok().and_then(|text| text.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
