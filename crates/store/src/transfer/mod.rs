//! Carrying a store from one database to another: which tables there are, with their columns; and [`export`] and
//! [`import`] made of it. An export is an SQLite file like a backup.
//!
//! Rows go over as they are: the log's chain and the records' seals are over bytes that do not change on the way.

mod export;
mod import;

pub use export::export;
pub use import::{Imported, import, import_into_folder};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number.
    Int,
    /// A text that people or callers wrote: it may hold any character.
    Text,
    /// A text that Keyward wrote: ids, words, JSON.
    Word,
    /// Bytes.
    Bytes,
}

/// A value on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A table, with the columns that are carried.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// What its rows are read in the order of.
    pub(crate) order: &'static str,
}

impl Table {
    /// Its columns' names, as SQL lists them.
    pub(crate) fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

macro_rules! tables {
    ($($name:ident by $order:literal: $($column:ident $kind:ident),+;)*) => {
        &[$(Table {
            name: stringify!($name),
            columns: &[$((stringify!($column), Kind::$kind)),+],
            order: $order,
        }),*]
    };
}

/// All tables but those that belong to one database: nodes, and the schema's version. Parents go before children.
pub(crate) const TABLES: &[Table] = tables! {
    store by "only_row": only_row Int, id Word, created_at Int, public_key Bytes, seal Bytes, head_revision Int,
        head_hash Bytes, probe Int;
    log by "revision": revision Int, at Int, name Word, organization Word, project Word, key_id Word, body Word, hash Bytes;
    log_subjects by "revision, organization, project, key_id": revision Int, organization Word, project Word, key_id Word,
        at Int, name Word;
    apis by "name": name Word, revision Int, record Word, seal Bytes;
    organizations by "id": id Word, state Word, created_revision Int, revision Int, record Word, seal Bytes;
    projects by "id": id Word, organization Word, name Text, state Word, created_revision Int, revision Int, record Word,
        seal Bytes;
    keys by "id": id Word, project Word, name Text, state Word, ends_at Int, expires_at Int, created_at Int,
        created_revision Int, revision Int, record Word, seal Bytes;
    data_keys by "project": project Word, created_revision Int, revision Int, record Word, seal Bytes;
    wrapped_data_keys by "id": id Word, project Word, kek_version Int, wrapped Bytes, seal Bytes;
    retired_encryption_keys by "version": version Int;
    digests by "digest": digest Bytes, key_id Word, pepper Int, seal Bytes;
    management_keys by "id": id Word, digest Bytes, created_revision Int, revision Int, record Word, seal Bytes;
    idempotency by "caller, request_key": caller Text, request_key Text, fingerprint Bytes, answer Text, at Int;
    canaries by "version": version Int, canary Bytes;
    usage by "id": project Word, key_id Word, minute Int, outcome Word, granted Int, count Int, first_at Int, last_at Int,
        last_address Word;
    key_usage by "key_id": key_id Word, last_used_at Int, granted Int, refused Int;
    usage_batches by "incarnation, sequence": incarnation Bytes, sequence Int, at Int;
    usage_hours by "project, hour, key_id, outcome": project Word, hour Int, key_id Word, outcome Word, count Int;
    quota_tallies by "api, name, counted_of, period": api Word, name Word, counted_of Word, period Word, ends_at Int,
        spent Int;
    quota_holdings by "api, name, counted_of, period, holder": api Word, name Word, counted_of Word, period Word,
        holder Bytes, held Int, recalled Int;
    saved_rates by "api, name, counted_of": api Word, name Word, counted_of Word, unit_nanos Int, full_at Int;
    people by "id": id Word, email Text, is_operator Int, state Word, created_revision Int, revision Int, record Word,
        seal Bytes;
    memberships by "person, organization": person Word, organization Word, role Word, created_revision Int;
    identities by "issuer, subject": issuer Text, subject Text, person Word;
    passwords by "person": person Word, phc Word, seal Bytes;
    invitations by "id": id Word, organization Word, digest Bytes, created_revision Int, revision Int, record Word,
        seal Bytes;
    sessions by "id": id Word, digest Bytes, person Word, created_at Int, seen_at Int, ends_at Int, record Word, seal Bytes;
    sign_in_links by "digest": digest Bytes, person Word, expires_at Int, record Word, seal Bytes;
};

/// Hears how far the copying is: the table, rows done, and rows in all.
pub trait Progress: Fn(&'static str, u64, u64) + Send + Sync {}

impl<F: Fn(&'static str, u64, u64) + Send + Sync> Progress for F {}
