//! Sessions of the dashboard, links that sign in once, and passwords kept anew under a newer pepper. None of it is a change. Each is sealed like a record, so that
//! whoever can write to the file cannot make their session another's.

use keyward_core::change::{Expect, Revision};
use keyward_core::clock::Timestamp;
use keyward_core::id::{PersonId, SessionId};
use keyward_core::log::LogKeys;
use keyward_core::people::PasswordHash;
use keyward_core::secret::Digest;
use keyward_core::session::{Session, SignInLink};
use keyward_core::store::{Result, SessionsOf, StoreError};
use sqlx::{QueryBuilder, Row as _};

use super::dialect::read_failure;
use super::record;
use super::records::Refusal;
use super::{Connection, Db, Row, dialect};

/// What can be written of sessions.
pub(crate) enum SessionWrite {
    Add(Box<Session>),
    Touch {
        id: SessionId,
        seen_at: Timestamp,
    },
    End(SessionsOf),
    AddLink(Box<SignInLink>),
    /// Answered with whether it was there.
    TakeLink(Digest),
    /// Answered with whether there is more.
    Forget {
        unused_since: Timestamp,
        now: Timestamp,
        limit: u32,
    },
    /// Keeps a password under a newer pepper.
    Rehash {
        person: PersonId,
        old: PasswordHash,
        new: PasswordHash,
    },
    /// Ends everything: a restored store knows nobody's session.
    EndAll,
}

pub(crate) async fn write(
    connection: &mut Connection,
    log_keys: &LogKeys,
    write: &SessionWrite,
) -> std::result::Result<bool, Refusal> {
    match write {
        SessionWrite::Add(session) => add(connection, log_keys, session).await.map(|()| false),
        SessionWrite::Touch { id, seen_at } => touch(connection, *id, *seen_at).await.map(|()| false),
        SessionWrite::End(which) => end(connection, which).await.map(|()| false),
        SessionWrite::AddLink(link) => add_link(connection, log_keys, link).await.map(|()| false),
        SessionWrite::TakeLink(digest) => {
            let taken = sqlx::query("DELETE FROM sign_in_links WHERE digest = $1")
                .bind(digest.as_bytes().as_slice())
                .execute(connection)
                .await?;
            Ok(taken.rows_affected() > 0)
        }
        SessionWrite::Forget { unused_since, now, limit } => forget(connection, *unused_since, *now, *limit).await,
        SessionWrite::Rehash { person, old, new } => {
            rehash(connection, log_keys, *person, old, new).await.map(|()| false)
        }
        SessionWrite::EndAll => {
            for sql in ["DELETE FROM sessions", "DELETE FROM sign_in_links"] {
                sqlx::query(sql).execute(&mut *connection).await?;
            }
            Ok(false)
        }
    }
}

async fn add(
    connection: &mut Connection,
    log_keys: &LogKeys,
    session: &Session,
) -> std::result::Result<(), Refusal> {
    may_sign_in(connection, session.person).await?;
    let sealed = record::seal(log_keys, session)?;
    let added = sqlx::query(
        "INSERT INTO sessions (id, digest, person, created_at, seen_at, ends_at, record, seal)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(session.id.to_string())
    .bind(session.digest.as_bytes().as_slice())
    .bind(session.person.to_string())
    .bind(session.created_at.as_millis())
    .bind(session.seen_at.as_millis())
    .bind(session.ends_at.as_millis())
    .bind(sealed.json)
    .bind(&sealed.seal[..])
    .execute(connection)
    .await?;
    is_new(added.rows_affected(), session.person)
}

async fn add_link(
    connection: &mut Connection,
    log_keys: &LogKeys,
    link: &SignInLink,
) -> std::result::Result<(), Refusal> {
    may_sign_in(connection, link.person).await?;
    let sealed = record::seal(log_keys, link)?;
    let added = sqlx::query(
        "INSERT INTO sign_in_links (digest, person, expires_at, record, seal)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(link.digest.as_bytes().as_slice())
    .bind(link.person.to_string())
    .bind(link.expires_at.as_millis())
    .bind(sealed.json)
    .bind(&sealed.seal[..])
    .execute(connection)
    .await?;
    is_new(added.rows_affected(), link.person)
}

/// Whoever was disabled while they signed in must not have a session after it.
async fn may_sign_in(connection: &mut Connection, person: PersonId) -> std::result::Result<(), Refusal> {
    let found: Option<i64> =
        sqlx::query_scalar(dialect::MAY_SIGN_IN).bind(person.to_string()).fetch_optional(connection).await?;
    is_new(found.map_or(0, |_| 1), person)
}

fn is_new(rows: u64, person: PersonId) -> std::result::Result<(), Refusal> {
    match rows {
        0 => Err(StoreError::Conflict(Expect::Person(person, Revision::ZERO)).into()),
        _ => Ok(()),
    }
}

async fn touch(connection: &mut Connection, id: SessionId, seen_at: Timestamp) -> std::result::Result<(), Refusal> {
    sqlx::query("UPDATE sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2")
        .bind(id.to_string())
        .bind(seen_at.as_millis())
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps the same password under a newer pepper: nothing where another has taken its place.
async fn rehash(
    connection: &mut Connection,
    log_keys: &LogKeys,
    person: PersonId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> std::result::Result<(), Refusal> {
    let person = person.to_string();
    let seal = log_keys.seal(record::PASSWORD_KIND, &record::password_row(&person, &new.0));
    sqlx::query("UPDATE passwords SET phc = $3, seal = $4 WHERE person = $1 AND phc = $2")
        .bind(person)
        .bind(&old.0)
        .bind(&new.0)
        .bind(seal.to_vec())
        .execute(connection)
        .await?;
    Ok(())
}

async fn end(connection: &mut Connection, which: &SessionsOf) -> std::result::Result<(), Refusal> {
    match which {
        SessionsOf::Session(id) => {
            sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id.to_string()).execute(connection).await?;
        }
        SessionsOf::Person { id, but } => {
            // No session has the empty text as its id.
            sqlx::query("DELETE FROM sessions WHERE person = $1 AND id <> $2")
                .bind(id.to_string())
                .bind(but.map_or_else(String::new, |but| but.to_string()))
                .execute(&mut *connection)
                .await?;
            sqlx::query("DELETE FROM sign_in_links WHERE person = $1")
                .bind(id.to_string())
                .execute(connection)
                .await?;
        }
    }
    Ok(())
}

const UNUSED: &str = "DELETE FROM sessions WHERE id IN (
         SELECT id FROM sessions WHERE seen_at < $1 ORDER BY seen_at LIMIT $2)";
const ENDED: &str = "DELETE FROM sessions WHERE id IN (
         SELECT id FROM sessions WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2)";
const EXPIRED: &str = "DELETE FROM sign_in_links WHERE digest IN (
         SELECT digest FROM sign_in_links WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

async fn forget(
    connection: &mut Connection,
    unused_since: Timestamp,
    now: Timestamp,
    limit: u32,
) -> std::result::Result<bool, Refusal> {
    // Asked for nothing at a time, nobody would come to an end.
    let limit = limit.max(1);
    let mut more = false;
    for (sql, before) in [(UNUSED, unused_since), (ENDED, now), (EXPIRED, now)] {
        let forgotten = sqlx::query(sql)
            .bind(before.as_millis())
            .bind(i64::from(limit))
            .execute(&mut *connection)
            .await?
            .rows_affected();
        more |= forgotten >= u64::from(limit);
    }
    Ok(more)
}

/// The session with this digest.
pub(crate) async fn by_digest(
    connection: &mut Connection,
    log_keys: &LogKeys,
    digest: &Digest,
) -> Result<Option<Session>> {
    let row = sqlx::query("SELECT seen_at, record, seal FROM sessions WHERE digest = $1")
        .bind(digest.as_bytes().as_slice())
        .fetch_optional(connection)
        .await
        .map_err(read_failure)?;
    let Some(row) = row else { return Ok(None) };
    let session = session_of(log_keys, &row)?;
    match session.digest == *digest {
        true => Ok(Some(session)),
        false => Err(StoreError::Damaged(format!("the row of {} has another's digest", session.id))),
    }
}

/// A person's sessions, newest first.
pub(crate) async fn of_person(
    connection: &mut Connection,
    log_keys: &LogKeys,
    person: PersonId,
) -> Result<Vec<Session>> {
    let mut select: QueryBuilder<Db> =
        QueryBuilder::new("SELECT seen_at, record, seal FROM sessions WHERE person = ");
    select.push_bind(person.to_string()).push(" ORDER BY created_at DESC, id");
    let rows = select.build().fetch_all(connection).await.map_err(read_failure)?;
    let mut sessions = Vec::with_capacity(rows.len());
    for row in &rows {
        let session = session_of(log_keys, row)?;
        if session.person != person {
            return Err(StoreError::Damaged(format!("the row of {} disagrees with its record", session.id)));
        }
        sessions.push(session);
    }
    Ok(sessions)
}

fn session_of(log_keys: &LogKeys, row: &Row) -> Result<Session> {
    let session: Session = record::open(log_keys, row)?;
    let seen_at = Timestamp::from_millis(row.try_get("seen_at").map_err(read_failure)?);
    Ok(Session { seen_at, ..session })
}

/// The link with this digest, unless it was used up.
pub(crate) async fn link(
    connection: &mut Connection,
    log_keys: &LogKeys,
    digest: &Digest,
) -> Result<Option<SignInLink>> {
    let row = sqlx::query("SELECT record, seal FROM sign_in_links WHERE digest = $1")
        .bind(digest.as_bytes().as_slice())
        .fetch_optional(connection)
        .await
        .map_err(read_failure)?;
    let Some(row) = row else { return Ok(None) };
    let link: SignInLink = record::open(log_keys, &row)?;
    match link.digest == *digest {
        true => Ok(Some(link)),
        false => Err(StoreError::Damaged("a sign-in link has another's digest".into())),
    }
}
