//! Several nodes on one PostgreSQL: what is taken away is in force on all of them when the call returns, whatever
//! becomes of nodes, lines and the database.
//!
//! [`cluster`] starts real processes on a real database, each node by a [`link`] of its own; [`history`] is the checker.

mod clocks;
mod cluster;
mod dice;
mod history;
mod link;
mod moving;
mod node;
mod outage;
mod quotas;
mod records;
mod revoking;
mod rolling;
mod starting;
mod storm;
mod streams;
