//! The control plane on a real store and engine, asked through its router as a client would: short stories,
//! named after the rows of conformance.md and trust.md that they show.

mod dashboard;
mod encryption;
mod idempotency;
mod input;
mod key_pages;
mod keys;
mod limits;
mod management_keys;
mod nodes;
mod openapi;
mod openid;
mod outcomes;
mod pages;
mod people;
mod plans;
mod respond_async;
mod support;
mod tenancy;
