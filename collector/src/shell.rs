//! Looks at pages and targets from the shell, through the very parser and scraper that the collector uses.

pub mod parse;
pub mod scrape;
