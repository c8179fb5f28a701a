//! `asyncio-python` and `uvloop`: the original, with its own loop and with the one on libuv. They echo, by a protocol; `uvloop-streams` by streams.

use std::process::Command;

pub const ASYNCIO: &str = "asyncio-python";
pub const UVLOOP: &str = "uvloop";
pub const UVLOOP_STREAMS: &str = "uvloop-streams";
pub const NAMES: [&str; 3] = [ASYNCIO, UVLOOP, UVLOOP_STREAMS];

/// Serves until it is killed; prints its port first. Arguments: the loop, the processor.
const PROGRAM: &str = r#"
import asyncio, os, socket, sys
os.sched_setaffinity(0, {int(sys.argv[2])})
class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport
    def data_received(self, data):
        self.transport.write(data)
async def echo(reader, writer):
    while data := await reader.read(66048):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    if sys.argv[1] == "uvloop-streams":
        server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        return await server.serve_forever()
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
if sys.argv[1].startswith("uvloop"):
    import uvloop
    loop = uvloop.new_event_loop()
else:
    loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"#;

/// The program and its arguments.
pub fn server(name: &str, cpu: usize) -> Vec<String> {
    vec!["python3".into(), "-c".into(), PROGRAM.into(), name.into(), cpu.to_string()]
}

pub fn absence(name: &str) -> Option<String> {
    let import = if name != ASYNCIO { "import uvloop" } else { "import asyncio" };
    match Command::new("python3").args(["-c", import]).output() {
        Ok(output) if output.status.success() => None,
        Ok(_) => Some(format!("`python3 -c '{import}'` fails")),
        Err(error) => Some(format!("python3: {error}")),
    }
}
