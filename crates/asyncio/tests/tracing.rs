//! The feature `tracing`: a span for each task, entered for each of its polls; and events, of which reports are some.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes down what it is told of, as lines.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    spans: Arc<Mutex<HashMap<u64, String>>>,
    next: Arc<AtomicU64>,
}

impl Log {
    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn name_of(&self, span: &Id) -> String {
        self.spans.lock().unwrap().get(&span.into_u64()).cloned().unwrap_or_default()
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

#[derive(Default)]
struct Fields(HashMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("asyncio::") || metadata.target() == "user"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let of = |name| fields.0.get(name).cloned().unwrap_or_default();
        assert!(of("spawned_at").contains(".rs:") && !of("id").is_empty(), "{:?}", fields.0);
        let name = format!("{}{}", attributes.metadata().name(), of("name"));
        self.spans.lock().unwrap().insert(id, name);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.get("message").cloned().unwrap_or_default();
        self.add(format!("{} {}: {message}", event.metadata().level(), event.metadata().target()));
    }

    fn enter(&self, span: &Id) {
        self.add(format!("enters {}", self.name_of(span)));
    }

    fn exit(&self, span: &Id) {
        self.add(format!("leaves {}", self.name_of(span)));
    }

    fn try_close(&self, span: Id) -> bool {
        self.add(format!("ends {}", self.name_of(&span)));
        true
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

#[test]
fn a_task_is_a_span_that_is_entered_for_each_poll() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        asyncio::run(async {
            let task = asyncio::task::Builder::new().name("worker").spawn_local(async {
                tracing::event!(target: "user", Level::INFO, "one");
                asyncio::yield_now().await;
                tracing::event!(target: "user", Level::INFO, "two");
            });
            task.await.unwrap();
        });
    });
    let lines = log.take();
    let of_task: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| line.contains("\"worker\"") || line.contains("user"))
        .collect();
    assert_eq!(
        of_task,
        [
            "enters task\"worker\"",
            "INFO user: one",
            "leaves task\"worker\"",
            "enters task\"worker\"",
            "INFO user: two",
            "leaves task\"worker\"",
            "ends task\"worker\"",
        ]
    );
    assert!(lines.iter().any(|line| line == "DEBUG asyncio::runtime: a loop was closed"), "{lines:#?}");
}

#[test]
fn a_future_that_is_dropped_is_dropped_in_its_span() {
    struct AtDrop;
    impl Drop for AtDrop {
        fn drop(&mut self) {
            tracing::event!(target: "user", Level::INFO, "dropped");
        }
    }
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        asyncio::run(async {
            let task = asyncio::task::Builder::new().name("doomed").spawn_local(async {
                let _at_drop = AtDrop;
                std::future::pending::<()>().await;
            });
            asyncio::yield_now().await;
            task.cancel();
            drop(task.await);
        });
    });
    let lines = log.take();
    let place = lines.iter().position(|line| line == "INFO user: dropped").unwrap();
    let entered = lines[..place].iter().rposition(|line| line == "enters task\"doomed\"").unwrap();
    assert!(!lines[entered..place].iter().any(|line| line.starts_with("leaves")), "{lines:#?}");
}

#[test]
fn reports_and_connections_are_events() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        asyncio::run(async {
            let server = asyncio::net::start_server(
                async |_, mut writer: asyncio::net::StreamWriter| writer.close().await,
                "127.0.0.1:0",
            )
            .await?;
            let (_reader, mut writer) = asyncio::net::open_connection(server.local_addrs()[0]).await?;
            writer.close().await?;
            asyncio::spawn_checked(async { Err::<(), _>("disk full") }).detach();
            asyncio::yield_now().await;
            server.close();
            server.wait_closed().await;
            io::Result::Ok(())
        })
        .unwrap();
    });
    let lines = log.take();
    for part in [
        "DEBUG asyncio::net: connected to",
        "DEBUG asyncio::net: a client was accepted",
        "WARN asyncio::report: ",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(part)), "{part}: {lines:#?}");
    }
    assert!(lines.iter().any(|line| line.starts_with("WARN") && line.contains("disk full")));
}
