//! The suite that every store must pass, on SQLite and on PostgreSQL.

mod support;

mod sqlite {
    keyward_store::conformance_suite!(crate::support::SqliteFixture::new());
}

mod postgres {
    keyward_store::conformance_suite!(crate::support::postgres::PostgresFixture::new());
}
