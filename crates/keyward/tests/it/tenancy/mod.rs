//! Stories of tenancy.
