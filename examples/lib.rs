//! What more than one example needs: the crawler, which the test and `custom_reactor` run too.

#![forbid(unsafe_code)]

#[path = "crawler/crawl.rs"]
pub mod crawl;
#[path = "crawler/http.rs"]
pub mod http;
#[path = "crawler/links.rs"]
pub mod links;
#[path = "crawler/site.rs"]
pub mod site;
