//! The suite that every store must pass, on SQLite.

mod support;

use keyward_store::conformance_suite;

conformance_suite!(support::SqliteFixture::new());
