//! The main job: crawls a web site, by default an embedded one of 500 pages.
//!
//! `cargo run --release --example crawler [-- URL] [--concurrency N] [--timeout SECONDS] [--max-pages N] [--roots FILE] [--json FILE]`

mod interrupt;

use std::path::PathBuf;
use std::time::Duration;

use asyncio::net::tls::TlsConnector;
use clap::Parser;
use examples::crawl::{Options, Progress, Report, crawl};
use examples::links::Url;
use examples::site::Site;
use indicatif::{ProgressBar, ProgressStyle};

/// Crawls a host over HTTP/1.1, with TLS or without, or an embedded site if none is named.
#[derive(Parser)]
struct Arguments {
    /// Where to begin, as in https://example.com/
    url: Option<String>,
    /// How many pages are fetched at the same time.
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// Seconds a page may take.
    #[arg(long, default_value_t = 2.0)]
    timeout: f64,
    /// How many pages at most.
    #[arg(long, default_value_t = 10_000)]
    max_pages: usize,
    /// Trusts the authorities of this file (PEM), and no others.
    #[arg(long)]
    roots: Option<PathBuf>,
    /// Writes the report to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let timeout =
        Duration::try_from_secs_f64(arguments.timeout).map_err(|error| format!("--timeout: {error}"))?;
    let tls = match &arguments.roots {
        Some(path) => {
            let roots = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            TlsConnector::builder().roots(roots).build()?
        }
        None => TlsConnector::new()?,
    };
    let options =
        Options { concurrency: arguments.concurrency, timeout, pages_max: arguments.max_pages, tls };
    let (site, start) = match &arguments.url {
        Some(url) => (None, Url::parse(url)?),
        None => {
            let site = Site::start().await?;
            let start = Url::parse(&format!("http://{}/", site.addr))?;
            println!("crawling the embedded site at {start}");
            (Some(site), start)
        }
    };
    let (bar, progress) = progress_bar();
    let report = crawl(start, options, progress, |stop| {
        interrupt::on_interrupt(move || stop.stop());
    })
    .await;
    bar.finish_and_clear();
    print_table(&report);
    if let Some(path) = &arguments.json {
        let file = std::fs::File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::to_writer_pretty(file, &report)?;
    }
    if let Some(site) = site.filter(|_| !report.totals.interrupted) {
        check(&report, &site);
        println!("every page is what the site served");
    }
    Ok(())
}

fn progress_bar() -> (ProgressBar, Progress) {
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} pages, {elapsed}") {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let progress = move |done, known| {
        shown.set_length(known as u64);
        shown.set_position(done as u64);
    };
    (bar, Box::new(progress))
}

fn print_table(report: &Report) {
    let totals = &report.totals;
    println!("{}", if totals.interrupted { "interrupted; so far:" } else { "done:" });
    println!("  pages           {:>10}", totals.pages);
    println!("  bytes           {:>10}", totals.bytes);
    println!("  latency p50     {:>10.1} ms", totals.p50_ms);
    println!("  latency p99     {:>10.1} ms", totals.p99_ms);
    println!("  latency largest {:>10.1} ms", totals.max_ms);
    println!("  pages a second  {:>10.0}", totals.pages_per_second);
    for (kind, count) in &totals.errors {
        println!("  error: {kind:<20} {count}");
    }
    for page in
        report.pages.iter().filter(|page| page.error.as_ref().is_some_and(|e| e.starts_with("timed out")))
    {
        println!("  timed out: {}", page.url);
    }
}

/// The report is, page by page, what the embedded site recorded.
fn check(report: &Report, site: &Site) {
    let served = site.served.borrow();
    assert_eq!(report.pages.len(), served.len(), "as many pages as were served");
    for page in &report.pages {
        let path = Url::parse(&page.url).map(|url| url.path).unwrap_or_default();
        assert_eq!(served.get(&path), Some(&(page.status, page.bytes)), "{}", page.url);
    }
    let kinds: Vec<&str> = report.totals.errors.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["bad body", "not HTTP", "status 404", "timed out"]);
}
