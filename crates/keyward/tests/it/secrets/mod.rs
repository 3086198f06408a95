//! Stories of secrets.
