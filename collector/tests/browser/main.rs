//! The pages in a real browser: Chromium by its WebDriver, on the real collector with real or simulated exporters.
//!
//! | module | holds |
//! |---|---|
//! | `webdriver` | chromedriver and its protocol |
//! | `browser` | what a person does and sees; fails on console errors, violations of the policy and requests elsewhere |
//! | `axe` | what axe-core finds on a page |
//! | `scene` | a collector with exporters, and users of every role |
//! | `pages` | the list of pages: each is looked at in light, dark and narrow |
//!
//! The other modules are tests, one topic each.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![allow(dead_code, reason = "each page uses its own part of what a person can do")]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod axe;
mod browser;
mod fleet;
mod pages;
mod scene;
mod servers;
mod sign_in;
mod webdriver;
mod zones;
