//! Programs of the examples in a simulation: a bug that was planted is found and replayed, and the crawler, unmodified, crawls over a bad line.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use asyncio::net::tls::TlsConnector;
use asyncio::net::{TcpListener, TcpStream, copy_bidirectional};
use asyncio::sim::{Builder, Explorer, FailureKind, Latency, Link, Script, Sim};
use examples::crawl::{Options, Report, crawl};
use examples::lease;
use examples::links::Url;
use examples::site::{PAGES, Served, Site};

#[test]
fn the_bug_of_sim_kv_is_found_and_replayed_from_its_script() {
    let explorer = Explorer::new("sim_kv").seeds(200).patience(Duration::from_secs(2));
    let found = explorer.explore(&|builder| lease::world(builder, false)).unwrap_err();
    assert_eq!(found.failure.kind, FailureKind::Panic, "{}", found.failure);
    assert_eq!(found.failure.host.as_deref(), Some("store"));
    assert!(found.failure.message.contains("an update was lost"), "{}", found.failure);

    let smallest = &found.shrunk.failure;
    assert!(smallest.is_like(&found.failure), "{smallest}");
    assert!(smallest.events <= found.failure.events);
    let text = found.shrunk.script.to_string();
    let script: Script = text.parse().unwrap();
    let again = lease::world(Sim::builder().script(script), false).run().unwrap_err();
    assert!(again.is_like(smallest), "{again}");
    assert_eq!((again.hash, again.events, again.at), (smallest.hash, smallest.events, smallest.at));

    // What makes the one fail does nothing to the other.
    let script: Script = text.parse().unwrap();
    let mended = lease::world(Sim::builder().script(script), true).run();
    assert!(mended.is_ok(), "{mended:?}");
}

#[test]
fn the_mended_protocol_holds() {
    let explored =
        Explorer::new("sim_kv").seeds(100).explore(&|builder: Builder| lease::world(builder, true));
    let summaries = explored.unwrap_or_else(|found| panic!("{:?}: {}", found.seed, found.failure));
    let sum = |of: fn(&asyncio::sim::Counts) -> u64| summaries.iter().map(|s| of(&s.counts)).sum::<u64>();
    let struck = [sum(|counts| counts.pauses), sum(|counts| counts.partitions), sum(|counts| counts.lost)];
    assert!(struck.iter().all(|&count| count > 0), "faults that never strike test nothing: {struck:?}");
}

/// The embedded site, which listens on loopback, and a door to it for other hosts.
async fn serve_site(served: Rc<RefCell<Served>>) -> io::Result<()> {
    let site = Site::start().await?;
    *served.borrow_mut() = site.served.clone();
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut near, _) = listener.accept().await?;
        let addr = site.addr;
        asyncio::spawn_local(async move {
            if let Ok(mut far) = TcpStream::connect(addr).await {
                // Who breaks off is looked after by the other side.
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        })
        .detach();
    }
}

/// The report is, page by page, what the site served: as the crawler checks itself.
fn check(report: &Report, served: &BTreeMap<String, (u16, usize)>) {
    assert!(served.len() > PAGES);
    assert_eq!(report.pages.len(), served.len(), "as many pages as were served");
    for page in &report.pages {
        let path = Url::parse(&page.url).unwrap().path;
        assert_eq!(served.get(&path), Some(&(page.status, page.bytes)), "{}: {:?}", page.url, page.error);
    }
    let kinds: Vec<&str> = report.totals.errors.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["bad body", "not HTTP", "status 404", "timed out"]);
    assert_eq!(report.totals.errors["timed out"], 1, "the page that never answers, and no other");
}

fn crawled_site(builder: Builder, tls: &TlsConnector) -> Sim {
    let latency = Latency::with_tail(Duration::from_millis(1), Duration::from_millis(10));
    let line = Link::new().latency(latency).loss(0.02).reorder(0.05).duplicate(0.02);
    let sim = builder.link(line).build();
    let served: Rc<RefCell<Served>> = Rc::default();
    let (of_site, tls) = (served.clone(), tls.clone());
    sim.host("site", "10.0.0.1", move || serve_site(of_site.clone()));
    sim.client("crawler", "10.0.0.2", move || {
        let (served, tls) = (served.clone(), tls.clone());
        async move {
            // Long enough for a packet that is lost five times.
            let timeout = Duration::from_secs(60);
            let options = Options { concurrency: 8, timeout, pages_max: 10_000, tls };
            let start = Url::parse("http://site/").unwrap();
            let report = crawl(start, options, Box::new(|_, _| ()), |_| ()).await;
            check(&report, &served.borrow().borrow());
        }
    });
    sim
}

#[test]
fn the_crawler_crawls_a_simulated_site_over_a_bad_line() {
    let tls = TlsConnector::new().unwrap();
    let explored =
        Explorer::new("crawler").seeds(3).shrink(false).explore(&|builder| crawled_site(builder, &tls));
    let summaries = explored.unwrap_or_else(|found| panic!("{:?}: {}", found.seed, found.failure));
    for summary in summaries {
        assert!(summary.counts.lost > 0 && summary.counts.duplicated > 0, "{:?}", summary.counts);
        assert!(summary.elapsed > Duration::from_secs(60), "it waited for the page that never answers");
    }
}
