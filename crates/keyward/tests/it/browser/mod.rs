//! The dashboard in a real headless Chromium, as people use it.
//!
//! `driver` starts the browser, `page` is what a person does with it ([`Browser`]), `faults` what can be wrong with any
//! page. The other modules are stories. All of them run one or two at a time: .config/nextest.toml.

mod driver;
mod faults;
mod first;
mod leaving;
mod looking;
mod page;
mod pages;
mod payloads;
mod provider;
mod scripts;
mod vendors;
mod world;

pub use page::{Browser, Colours, Size};
