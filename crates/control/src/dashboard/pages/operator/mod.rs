//! The operator's pages: who is not one is told that there is nothing here.

pub mod apis;
pub mod log;
pub mod nodes;
pub mod organizations;
pub mod people;
pub mod projects;
