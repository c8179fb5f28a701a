//! "Interacting with Domain Name Services": from names to addresses, and from addresses to names.
//!
//! The originals ask for hosts of the world. These ask for what every machine knows without a network.

use std::net::IpAddr;

use asyncio::net::{AddrInfoHints, NameInfoOptions, getaddrinfo, getnameinfo};
use asyncio::reactor::{Protocol, Type};

use crate::Outcome;

/// Asks for three hosts one after the other, and for TCP alone.
///
/// The system's function blocks, so it runs on threads of its own, apart from those of other blocking calls; asyncio takes the pool of all. The answers
/// are structs, not tuples of five. Who only wants to connect need not ask: a connection takes names.
pub fn asyncio_getaddrinfo() -> Outcome {
    asyncio::run(async {
        let hints = AddrInfoHints::new().socket_type(Type::STREAM).protocol(Protocol::TCP);
        for (host, service) in [("127.0.0.1", "80"), ("::1", "443"), ("localhost", "8080")] {
            let infos = getaddrinfo(Some(host), Some(service), hints).await?;
            if host.parse::<IpAddr>().is_ok() {
                for info in &infos {
                    let family = if info.addr.is_ipv4() { "IPv4" } else { "IPv6" };
                    println!("{host}: {family}, {}", info.addr);
                }
            } else {
                // Which of both families has it is the machine's affair.
                let is_here = infos.iter().all(|info| info.addr.ip().is_loopback());
                let is_port = infos.iter().all(|info| info.addr.port().to_string() == service);
                println!("{host}: each address is this machine's: {is_here}, with the port: {is_port}");
            }
        }
        Ok(())
    })
}

/// Asks for two addresses one after the other.
///
/// It asks for numbers, which need no name server: names are the default. The options are methods, where asyncio has flags.
pub fn asyncio_getnameinfo() -> Outcome {
    asyncio::run(async {
        let numbers = NameInfoOptions::new().numeric_host(true).numeric_service(true);
        for addr in ["127.0.0.1:80", "[::1]:443"] {
            let (host, service) = getnameinfo(addr.parse()?, numbers).await?;
            println!("{addr}: host {host}, service {service}");
        }
        Ok(())
    })
}
