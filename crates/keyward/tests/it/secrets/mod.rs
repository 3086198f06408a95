//! Stories of secrets: seen once, kept nowhere, found in no file, log or memory.

mod at_rest;
mod canary;
mod environment;
mod peppers;
mod process;
mod shown_once;
mod url;
