//! The dashboard over plain HTTP: what no browser would send, and what holds for every page. What people see of it is in
//! `browser`.

mod defaults;
mod exports;
mod forgery;
mod framing;
mod names;
mod secrets;
mod sessions;
