//! `asyncio-protocol` and `asyncio-streams`: ours again, by the layers above sockets.

use std::io;
use std::net::TcpListener;

use asyncio::net::protocol::{Protocol, Transport};
use asyncio::net::{ServerOptions, StreamReader, StreamWriter};

pub const PROTOCOL: &str = "asyncio-protocol";
pub const STREAMS: &str = "asyncio-streams";

#[derive(Default)]
struct Echo(Option<Transport>);

impl Protocol for Echo {
    fn connection_made(&mut self, transport: Transport) {
        self.0 = Some(transport);
    }

    fn data_received(&mut self, data: &[u8]) {
        if let Some(transport) = &self.0 {
            transport.write(data);
        }
    }

    fn pause_writing(&mut self) {
        self.0.iter().for_each(Transport::pause_reading);
    }

    fn resume_writing(&mut self) {
        self.0.iter().for_each(Transport::resume_reading);
    }
}

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    loop {
        let bytes = reader.read(65_536 + 512).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        writer.write(&bytes);
        writer.drain().await?;
    }
}

/// Serves for ever.
pub fn serve(subject: &str, listener: TcpListener) -> io::Result<()> {
    asyncio::run(async {
        let listener = asyncio::net::TcpListener::from_std(listener)?;
        let server = match subject {
            PROTOCOL => ServerOptions::new().create_server_with(Echo::default, listener),
            _ => ServerOptions::new().start_server_with(echo, listener),
        };
        server.serve_forever().await
    })
}
