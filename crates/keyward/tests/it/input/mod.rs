//! What people and programs hand in: names, numbers, cursors, patterns, and documents against their schema
//! (rows I of trust.md).

mod cursors;
mod injections;
mod logs;
mod names;
mod numbers;
mod openapi;
mod patterns;
