//! Stories of clients.
