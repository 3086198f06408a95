//! Stories of input.
