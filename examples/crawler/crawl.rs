//! The crawl: a fixed number of workers, one list of places, a timeout a page. It touches only public names of `asyncio`.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use asyncio::net::tls::TlsConnector;
use serde::{Deserialize, Serialize};

use crate::http;
use crate::links::{Url, links_of};

/// How to crawl.
#[derive(Clone, Debug)]
pub struct Options {
    pub concurrency: usize,
    /// For each page, redirects apart.
    pub timeout: Duration,
    pub pages_max: usize,
    /// Whom it trusts.
    pub tls: TlsConnector,
}

/// What became of one place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page {
    pub url: String,
    /// 0 where no response came.
    pub status: u16,
    pub bytes: usize,
    pub latency_ms: f64,
    pub error: Option<String>,
}

/// What became of all of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    pub pages: usize,
    pub bytes: usize,
    pub errors: BTreeMap<String, usize>,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub pages_per_second: f64,
    pub seconds: f64,
    /// The crawl was stopped from outside before it was done.
    pub interrupted: bool,
}

/// The whole report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub pages: Vec<Page>,
    pub totals: Totals,
}

/// Called after each page with how many are done and how many are known.
pub type Progress = Box<dyn Fn(usize, usize)>;

/// What the workers share.
struct Crawl {
    options: Options,
    waiting: VecDeque<Url>,
    known: HashSet<Url>,
    in_flight: usize,
    pages: Vec<Page>,
    errors: BTreeMap<String, usize>,
    /// Workers that found nothing to do.
    idle: Vec<Waker>,
    is_stopped: bool,
}

/// Stops a crawl from outside; what it has so far is its report.
#[derive(Clone)]
pub struct Stop(Rc<RefCell<Crawl>>);

impl Stop {
    pub fn stop(&self) {
        self.0.borrow_mut().is_stopped = true;
        wake_idle(&self.0);
    }
}

/// Crawls the host of `start`. `on_start` gets the means to stop it.
pub async fn crawl(start: Url, options: Options, progress: Progress, on_start: impl FnOnce(Stop)) -> Report {
    let began = Instant::now();
    let workers = options.concurrency.max(1);
    let shared = Rc::new(RefCell::new(Crawl {
        options,
        waiting: VecDeque::from([start.clone()]),
        known: HashSet::from([start]),
        in_flight: 0,
        pages: Vec::new(),
        errors: BTreeMap::new(),
        idle: Vec::new(),
        is_stopped: false,
    }));
    on_start(Stop(shared.clone()));
    let progress = Rc::new(progress);
    let tasks: Vec<_> =
        (0..workers).map(|_| asyncio::spawn_local(work(shared.clone(), progress.clone()))).collect();
    for task in tasks {
        if let Err(error) = task.await {
            shared.borrow_mut().errors.insert(format!("a worker failed: {error}"), 1);
        }
    }
    let mut crawl = shared.borrow_mut();
    let totals = totals(&crawl, began.elapsed());
    let mut pages = std::mem::take(&mut crawl.pages);
    pages.sort_by(|a, b| a.url.cmp(&b.url));
    Report { pages, totals }
}

async fn work(shared: Rc<RefCell<Crawl>>, progress: Rc<Progress>) {
    while let Some(url) = next(&shared).await {
        let options = shared.borrow().options.clone();
        let began = Instant::now();
        let stopped = poll_fn(|cx| {
            let mut crawl = shared.borrow_mut();
            if crawl.is_stopped {
                return Poll::Ready(());
            }
            crawl.idle.push(cx.waker().clone());
            Poll::Pending
        });
        let fetch = async { Some(asyncio::timeout(options.timeout, http::get(&url, &options.tls)).await) };
        let result = futures_lite::future::or(fetch, async {
            stopped.await;
            None
        })
        .await;
        if let Some(result) = result {
            record(&shared, &url, began.elapsed(), result);
        }
        shared.borrow_mut().in_flight -= 1;
        wake_idle(&shared);
        let (done, known) = (shared.borrow().pages.len(), shared.borrow().known.len());
        progress(done, known);
    }
}

/// The next place; `None` once nothing waits and nobody can find more.
async fn next(shared: &Rc<RefCell<Crawl>>) -> Option<Url> {
    poll_fn(|cx| {
        let mut crawl = shared.borrow_mut();
        if crawl.is_stopped {
            return Poll::Ready(None);
        }
        if let Some(url) = crawl.waiting.pop_front() {
            crawl.in_flight += 1;
            return Poll::Ready(Some(url));
        }
        if crawl.in_flight == 0 {
            return Poll::Ready(None);
        }
        crawl.idle.push(cx.waker().clone());
        Poll::Pending
    })
    .await
}

fn wake_idle(shared: &Rc<RefCell<Crawl>>) {
    let idle = std::mem::take(&mut shared.borrow_mut().idle);
    idle.into_iter().for_each(Waker::wake);
}

type Fetched = Result<Result<http::Response, http::Error>, asyncio::TimedOut>;

fn record(shared: &Rc<RefCell<Crawl>>, url: &Url, latency: Duration, result: Fetched) {
    let mut crawl = shared.borrow_mut();
    let (status, bytes, failure) = match result {
        Ok(Ok(response)) => {
            let links = found_links(url, &response);
            let room = crawl.options.pages_max.saturating_sub(crawl.known.len());
            let new: Vec<Url> = links.into_iter().filter(|link| !crawl.known.contains(link)).collect();
            for link in new.into_iter().take(room) {
                if crawl.known.insert(link.clone()) {
                    crawl.waiting.push_back(link);
                }
            }
            let status = response.status;
            let failure = (status >= 400).then(|| (format!("status {status}"), format!("status {status}")));
            (status, response.body.len(), failure)
        }
        Ok(Err(error)) => (0, 0, Some((error.kind().to_owned(), error.to_string()))),
        Err(_) => {
            let after = crawl.options.timeout;
            (0, 0, Some(("timed out".to_owned(), format!("timed out after {after:?}"))))
        }
    };
    if let Some((kind, _)) = &failure {
        *crawl.errors.entry(kind.clone()).or_default() += 1;
    }
    let error = failure.map(|(_, message)| message);
    let latency_ms = latency.as_secs_f64() * 1000.0;
    crawl.pages.push(Page { url: url.to_string(), status, bytes, latency_ms, error });
}

fn found_links(url: &Url, response: &http::Response) -> Vec<Url> {
    if let Some(location) = response.location.as_ref().filter(|_| (300..400).contains(&response.status)) {
        return url.join(location).into_iter().collect();
    }
    if !response.is_html || response.status >= 400 {
        return Vec::new();
    }
    let page = String::from_utf8_lossy(&response.body);
    links_of(&page).iter().filter_map(|link| url.join(link)).collect()
}

fn totals(crawl: &Crawl, elapsed: Duration) -> Totals {
    let mut latencies: Vec<f64> = crawl.pages.iter().map(|page| page.latency_ms).collect();
    latencies.sort_by(f64::total_cmp);
    let quantile =
        |q: f64| latencies.get(((latencies.len() as f64 - 1.0) * q).round() as usize).copied().unwrap_or(0.0);
    Totals {
        pages: crawl.pages.len(),
        bytes: crawl.pages.iter().map(|page| page.bytes).sum(),
        errors: crawl.errors.clone(),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
        max_ms: quantile(1.0),
        pages_per_second: crawl.pages.len() as f64 / elapsed.as_secs_f64(),
        seconds: elapsed.as_secs_f64(),
        interrupted: crawl.is_stopped,
    }
}
