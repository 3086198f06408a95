//! Stories of conformance.
