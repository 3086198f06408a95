//! Writing back people and invitations: their records, what is found by of them, their passwords, and the end of their
//! sessions.

use keyward_core::id::PersonId;
use keyward_core::log::LogKeys;
use keyward_core::people::{Invitation, PasswordHash, Person};
use sqlx::QueryBuilder;

use super::bulk::{parts, push_list, runs};
use super::record::{self, PASSWORD_KIND, Sealed};
use super::records::{Records, Refusal};
use super::rows::sealed;
use super::{Connection, Db, dialect};

/// Writes what accepted proposals moved of people and invitations.
pub(crate) async fn write(records: &mut Records<'_>) -> Result<(), Refusal> {
    let log_keys = records.log_keys;
    let people = sealed(log_keys, records.people.moved.drain())?;
    let invitations = sealed(log_keys, records.invitations.moved.drain())?;
    let (mut linked, mut unlinked) = (Vec::new(), Vec::new());
    for (identity, person) in records.identities.moved.drain() {
        match person {
            Some(person) => linked.push((identity, person)),
            None => unlinked.push(identity),
        }
    }
    let passwords: Vec<_> = records.passwords.moved.drain().collect();
    let signed_out: Vec<PersonId> = records.signed_out.moved.drain().map(|(id, ())| id).collect();
    let connection = &mut *records.connection;
    write_people(connection, &people).await?;
    write_memberships(connection, &people).await?;
    for identity in unlinked {
        sqlx::query("DELETE FROM identities WHERE issuer = $1 AND subject = $2")
            .bind(dialect::text(&identity.issuer))
            .bind(dialect::text(&identity.subject))
            .execute(&mut *connection)
            .await?;
    }
    for run in runs(&linked) {
        let mut insert: QueryBuilder<Db> = QueryBuilder::new("INSERT INTO identities (issuer, subject, person) ");
        insert.push_values(run, |mut columns, (identity, person)| {
            columns
                .push_bind(dialect::text(&identity.issuer))
                .push_bind(dialect::text(&identity.subject))
                .push_bind(person.to_string());
        });
        // One that is linked again is its person's already, or was unlinked from another just before.
        insert.push(" ON CONFLICT (issuer, subject) DO UPDATE SET person = excluded.person");
        insert.build().execute(&mut *connection).await?;
    }
    write_passwords(connection, log_keys, passwords).await?;
    write_invitations(connection, &invitations).await?;
    sign_out(connection, &signed_out).await
}

async fn write_people(connection: &mut Connection, rows: &[(Person, Sealed)]) -> Result<(), Refusal> {
    for run in runs(rows) {
        let mut insert: QueryBuilder<Db> = QueryBuilder::new(
            "INSERT INTO people (id, email, is_operator, state, created_revision, revision, record, seal) ",
        );
        insert.push_values(run, |mut columns, (person, sealed)| {
            columns
                .push_bind(person.id.to_string())
                .push_bind(dialect::text(&person.email))
                .push_bind(i64::from(person.is_operator))
                .push_bind(if person.is_active() { "active" } else { "disabled" })
                .push_bind(person.created_revision.0)
                .push_bind(person.revision.0)
                .push_bind(sealed.json.clone())
                .push_bind(sealed.seal.to_vec());
        });
        insert.push(
            " ON CONFLICT (id) DO UPDATE SET is_operator = excluded.is_operator, state = excluded.state,
                  revision = excluded.revision, record = excluded.record, seal = excluded.seal",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Makes the memberships of these people anew: they are few.
async fn write_memberships(connection: &mut Connection, rows: &[(Person, Sealed)]) -> Result<(), Refusal> {
    let people: Vec<PersonId> = rows.iter().map(|(person, _)| person.id).collect();
    delete(connection, "DELETE FROM memberships WHERE person IN (", &people).await?;
    let memberships: Vec<_> = rows
        .iter()
        .flat_map(|(person, _)| person.memberships.iter().map(move |membership| (person, membership)))
        .collect();
    for run in runs(&memberships) {
        let mut insert: QueryBuilder<Db> =
            QueryBuilder::new("INSERT INTO memberships (person, organization, role, created_revision) ");
        insert.push_values(run, |mut columns, (person, membership)| {
            columns
                .push_bind(person.id.to_string())
                .push_bind(membership.organization.to_string())
                .push_bind(membership.role.as_str())
                .push_bind(person.created_revision.0);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_passwords(
    connection: &mut Connection,
    log_keys: &LogKeys,
    passwords: Vec<(PersonId, Option<PasswordHash>)>,
) -> Result<(), Refusal> {
    for (person, password) in passwords {
        let person = person.to_string();
        let Some(PasswordHash(phc)) = password else {
            sqlx::query("DELETE FROM passwords WHERE person = $1").bind(person).execute(&mut *connection).await?;
            continue;
        };
        let seal = log_keys.seal(PASSWORD_KIND, &record::password_row(&person, &phc));
        sqlx::query(
            "INSERT INTO passwords (person, phc, seal) VALUES ($1, $2, $3)
             ON CONFLICT (person) DO UPDATE SET phc = excluded.phc, seal = excluded.seal",
        )
        .bind(person)
        .bind(phc)
        .bind(seal.to_vec())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn write_invitations(connection: &mut Connection, rows: &[(Invitation, Sealed)]) -> Result<(), Refusal> {
    for run in runs(rows) {
        let mut insert: QueryBuilder<Db> = QueryBuilder::new(
            "INSERT INTO invitations (id, organization, digest, created_revision, revision, record, seal) ",
        );
        insert.push_values(run, |mut columns, (invitation, sealed)| {
            columns
                .push_bind(invitation.id.to_string())
                .push_bind(invitation.invited_to.organization().map(|id| id.to_string()))
                .push_bind(invitation.digest.as_bytes().to_vec())
                .push_bind(invitation.created_revision.0)
                .push_bind(invitation.revision.0)
                .push_bind(sealed.json.clone())
                .push_bind(sealed.seal.to_vec());
        });
        insert.push(
            " ON CONFLICT (id) DO UPDATE SET
                  revision = excluded.revision, record = excluded.record, seal = excluded.seal",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Ends all sessions of these people, and the links that sign them in.
async fn sign_out(connection: &mut Connection, people: &[PersonId]) -> Result<(), Refusal> {
    delete(connection, "DELETE FROM sessions WHERE person IN (", people).await?;
    delete(connection, "DELETE FROM sign_in_links WHERE person IN (", people).await
}

async fn delete(connection: &mut Connection, sql: &str, people: &[PersonId]) -> Result<(), Refusal> {
    for part in parts(people) {
        let mut delete: QueryBuilder<Db> = QueryBuilder::new(sql);
        push_list(&mut delete, part, |query, person| {
            query.push_bind(person.to_string());
        });
        delete.push(")");
        delete.build().execute(&mut *connection).await?;
    }
    Ok(())
}
