//! Stories of edge.
