//! Stories of storage.
