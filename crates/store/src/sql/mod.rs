//! The SQL of a store: one source, compiled for each driver.
//!
//! Whoever includes it gives it the driver's `Db`, `Connection` and `Row`, its store as `Own`, and a `dialect` for the
//! little in which they differ. Query texts keep to what SQLite and PostgreSQL both read: `$1` where values go,
//! `CAST(SUM(…) AS BIGINT)`, and no function that only one of them has.
//!
//! [`batch`] makes proposals in one transaction: [`expect`] and [`apply`] on [`records`] in memory, which [`foresee`]
//! reads and [`rows`] writes back. [`writes`] are no changes, [`blocks`] exchanges units of [`quotas`]; [`subjects`]
//! stand beside the log; [`sessions`] come and go beside them; [`data_keys`] keeps what fields are encrypted under, wrapped; [`people`], [`people_rows`] and [`people_read`] do for people what the others do for the rest;
//! [`read`], [`key_lists`], [`log`], [`usage`], [`counts`], [`rates`] and [`events`] read, [`verify`] checks the log.
//! [`timeline`], [`replay`] and [`narrowing`] say what of the journal is made again. [`store`] is core's `Store` over
//! all of it.

pub(crate) mod apply;
pub(crate) mod batch;
pub(crate) mod blocks;
pub(crate) mod bulk;
pub(crate) mod copy;
pub(crate) mod counts;
pub(crate) mod data_keys;
pub(crate) mod events;
pub(crate) mod expect;
pub(crate) mod foresee;
pub(crate) mod forget;
pub(crate) mod key_lists;
pub(crate) mod log;
pub(crate) mod narrowing;
pub(crate) mod people;
pub(crate) mod people_read;
pub(crate) mod people_rows;
pub(crate) mod peppers;
pub(crate) mod quotas;
pub(crate) mod rates;
pub(crate) mod read;
pub(crate) mod record;
pub(crate) mod records;
pub(crate) mod replay;
pub(crate) mod rows;
pub(crate) mod seals;
pub(crate) mod sessions;
pub(crate) mod store;
pub(crate) mod subjects;
pub(crate) mod timeline;
pub(crate) mod usage;
pub(crate) mod verify;
pub(crate) mod writes;

use super::{Connection, Db, Own, Row, dialect};
