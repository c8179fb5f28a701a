//! The peers, one file each, and the one list of all subjects.

mod compio;
mod glommio;
mod hyper;
mod lines;
mod monoio;
pub mod python;
mod redis;
mod smol;
mod tls;

use std::net::TcpListener;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use self::compio::Compio;
use self::glommio::Glommio;
use self::monoio::{MonoioEpoll, MonoioUring};
use self::smol::{SmolLocal, SmolMt2};
use crate::peers::{outside, sync};
use crate::subject::Subject;
use crate::subjects::asyncio::{AsyncioLocal, AsyncioWorkers2};
use crate::subjects::tokio::{TokioCt, TokioMt2};
use crate::subjects::{Visit, asyncio_net, bulk, raw_epoll, raw_futures, udp};

/// Does something with the peer's runtime of this name.
pub fn with<V: Visit>(name: &str, visit: V) -> Result<V::Output> {
    Ok(match name {
        SmolLocal::NAME => visit.visit::<SmolLocal>(),
        SmolMt2::NAME => visit.visit::<SmolMt2>(),
        MonoioEpoll::NAME => visit.visit::<MonoioEpoll>(),
        MonoioUring::NAME => visit.visit::<MonoioUring>(),
        Compio::NAME => visit.visit::<Compio>(),
        Glommio::NAME => visit.visit::<Glommio>(),
        _ => bail!("no such subject: {name}"),
    })
}

/// What serves by this name, if it is something else than a runtime that echoes.
pub fn server(name: &str) -> Option<fn(&str, TcpListener) -> Result<()>> {
    Some(match name {
        hyper::ASYNCIO | hyper::TOKIO => |name, listener| Ok(hyper::serve(name, listener)?),
        tls::ASYNCIO | tls::TOKIO => tls::serve,
        lines::ASYNCIO | lines::TOKIO => |name, listener| Ok(lines::serve(name, listener)?),
        redis::LIKE => |_, listener| Ok(redis::serve(listener)?),
        _ => return None,
    })
}

/// The command line of a server that is another program.
pub fn program(name: &str, cpu: usize) -> Result<Option<Vec<String>>> {
    Ok(match name {
        redis::REAL => Some(redis::program(cpu)?),
        _ if python::NAMES.contains(&name) => Some(python::server(name, cpu)),
        _ => None,
    })
}

/// What runs one loop, and is compared in every case.
pub const ONE_LOOP: [&str; 3] = [AsyncioLocal::NAME, TokioCt::NAME, SmolLocal::NAME];
/// What runs on two threads.
pub const TWO_WORKERS: [&str; 3] = [AsyncioWorkers2::NAME, TokioMt2::NAME, SmolMt2::NAME];
/// What is no runtime, and only echoes.
pub const BARE: [&str; 4] = [asyncio_net::PROTOCOL, asyncio_net::STREAMS, raw_epoll::NAME, raw_futures::NAME];
/// What serves HTTP.
pub const HYPER: [&str; 2] = [hyper::ASYNCIO, hyper::TOKIO];
/// What Redis's clients talk to.
pub const REDIS: [&str; 2] = [redis::LIKE, redis::REAL];
/// TLS.
pub const TLS: [&str; 2] = [tls::ASYNCIO, tls::TOKIO];
/// A file to a socket.
pub const FILES: [&str; 2] = [bulk::SEND_FILE, bulk::READ_WRITE];
/// A socket to another one.
pub const PROXIES: [&str; 3] = [bulk::SPLICE, bulk::COPY, bulk::TOKIO_COPY];
/// Lines.
pub const LINES: [&str; 2] = [lines::ASYNCIO, lines::TOKIO];
/// Other ways to do it: compared where they can be, and not under `--quick`.
pub const FURTHER: [&str; 4] = [MonoioEpoll::NAME, MonoioUring::NAME, Compio::NAME, Glommio::NAME];

/// Says why a subject cannot be measured here.
pub fn absence(name: &str) -> Option<String> {
    if HYPER.contains(&name) {
        return absence_of_program("wrk");
    }
    if REDIS.contains(&name) {
        return absence_of_program("redis-benchmark").or_else(|| absence_of_program("redis-server"));
    }
    let is_ours = [&TLS[..], &udp::NAMES, &FILES, &PROXIES, &LINES].iter().any(|names| names.contains(&name));
    if is_ours
        || BARE.contains(&name)
        || sync::LIBRARIES.contains(&name)
        || outside::LIBRARIES.contains(&name)
    {
        return None;
    }
    if python::NAMES.contains(&name) {
        return python::absence(name);
    }
    let output = crate::process::again(&["probe", name]).and_then(|mut probe| Ok(probe.output()?));
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not start");
            Some(line.to_owned())
        }
        Err(error) => Some(error.to_string()),
    }
}

fn absence_of_program(name: &str) -> Option<String> {
    let tried = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.err().map(|error| format!("{name} cannot be started: {error}"))
}
