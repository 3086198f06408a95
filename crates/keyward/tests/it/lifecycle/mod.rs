//! Stories of lifecycle.
