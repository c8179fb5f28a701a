//! What more than one example needs: the crawler, which the tests and `custom_reactor` run too, and the lease protocol of `sim_kv`.

#![forbid(unsafe_code)]

#[path = "crawler/crawl.rs"]
pub mod crawl;
#[path = "crawler/http.rs"]
pub mod http;
#[path = "sim_kv/lease.rs"]
pub mod lease;
#[path = "crawler/links.rs"]
pub mod links;
#[path = "crawler/site.rs"]
pub mod site;
