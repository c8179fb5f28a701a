//! Swapping what is below: a selector of your own, and a whole reactor of your own. Both pass the conformance suites, and the crawler runs
//! on both, unchanged.
//!
//! `cargo run --release --example custom_reactor`

#[cfg(unix)]
mod poll_selector;
#[cfg(unix)]
mod whole_reactor;

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    use asyncio::reactor::{SelectorReactor, conformance};
    use poll_selector::PollSelector;
    use whole_reactor::WholeReactor;

    conformance::selector(PollSelector::new);
    println!("the selector on poll(2) keeps the laws of `Selector`");
    conformance::reactor(|| SelectorReactor::new(PollSelector::new()?));
    println!("a reactor on it keeps the laws of `Reactor`");
    conformance::reactor(WholeReactor::new);
    println!("so does a whole reactor of our own");

    crawl(asyncio::Runner::builder().reactor(|_worker| SelectorReactor::new(PollSelector::new()?)).build()?);
    crawl(asyncio::Runner::builder().reactor(|_worker| WholeReactor::new()).build()?);
    Ok(())
}

#[cfg(unix)]
fn crawl(mut runner: asyncio::Runner) {
    use examples::crawl::{Options, crawl};
    use examples::links::Url;
    use std::time::Duration;

    let tls = asyncio::net::tls::TlsConnector::new().expect("the platform says whom it trusts");
    let report = runner.run(async {
        let site = examples::site::Site::start().await.expect("loopback has a port");
        let start = Url::parse(&format!("http://{}/", site.addr)).expect("an address");
        let options =
            Options { concurrency: 16, timeout: Duration::from_millis(500), pages_max: 10_000, tls };
        crawl(start, options, Box::new(|_, _| ()), |_| ()).await
    });
    println!("the crawler runs on it: {} pages in {:.1} s", report.totals.pages, report.totals.seconds);
    assert!(report.totals.pages > examples::site::PAGES);
    assert_eq!(report.totals.errors["timed out"], 1);
}

#[cfg(not(unix))]
fn main() {
    println!("this example stands on poll(2), which only Unix has");
}
