//! Alone, under executors that know nothing of it.

use asyncio_net::{TcpListener, TcpStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::try_zip};

async fn echo() -> std::io::Result<()> {
    let listener = TcpListener::bind("localhost:0").await?;
    let addr = listener.local_addr()?;
    let server = async {
        let (mut stream, _) = listener.accept().await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.close().await
    };
    let client = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(b"hello").await?;
        stream.close().await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        assert_eq!(text, "hello");
        Ok(())
    };
    try_zip(server, client).await.map(drop)
}

#[test]
fn under_local_pool() {
    futures::executor::LocalPool::new().run_until(echo()).unwrap();
}

#[test]
fn under_tokio() {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(echo()).unwrap();
}

#[test]
fn under_tokio_with_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(echo())).collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    });
}
