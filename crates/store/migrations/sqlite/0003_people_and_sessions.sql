-- People, how they sign in, and how they are invited. Columns beside a record repeat what SQL must find by.

CREATE TABLE people (
    id               TEXT   PRIMARY KEY,
    email            TEXT   NOT NULL UNIQUE,
    is_operator      BIGINT NOT NULL,
    state            TEXT   NOT NULL,
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT   NOT NULL,
    seal             BLOB   NOT NULL
);
CREATE INDEX people_by_age ON people (created_revision);
CREATE INDEX people_operators ON people (created_revision) WHERE is_operator = 1;

-- Made anew from the person's record whenever that is written. created_revision is the person's.
CREATE TABLE memberships (
    person           TEXT   NOT NULL REFERENCES people (id),
    organization     TEXT   NOT NULL REFERENCES organizations (id),
    role             TEXT   NOT NULL,
    created_revision BIGINT NOT NULL,
    PRIMARY KEY (person, organization)
) WITHOUT ROWID;
CREATE INDEX memberships_by_age ON memberships (organization, created_revision);
CREATE INDEX memberships_by_role ON memberships (organization, role);

-- Who people are at OpenID providers, from their records.
CREATE TABLE identities (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    person  TEXT NOT NULL REFERENCES people (id),
    PRIMARY KEY (issuer, subject)
) WITHOUT ROWID;

-- Hashes of passwords, with a seal over whose they are. In no record and no log.
CREATE TABLE passwords (
    person TEXT PRIMARY KEY REFERENCES people (id),
    phc    TEXT NOT NULL,
    seal   BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE invitations (
    id               TEXT   PRIMARY KEY,
    organization     TEXT   REFERENCES organizations (id),
    digest           BLOB   NOT NULL UNIQUE,
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT   NOT NULL,
    seal             BLOB   NOT NULL
);
CREATE INDEX invitations_by_age ON invitations (organization, created_revision);

-- What follows is no change, and its rows are deleted when they end.

-- seen_at is when it was last used, whatever the record says.
CREATE TABLE sessions (
    id         TEXT   PRIMARY KEY,
    digest     BLOB   NOT NULL UNIQUE,
    person     TEXT   NOT NULL REFERENCES people (id),
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    record     TEXT   NOT NULL,
    seal       BLOB   NOT NULL
);
CREATE INDEX sessions_by_person ON sessions (person, created_at);
CREATE INDEX sessions_by_use ON sessions (seen_at);
CREATE INDEX sessions_by_end ON sessions (ends_at);

CREATE TABLE sign_in_links (
    digest     BLOB   PRIMARY KEY,
    person     TEXT   NOT NULL REFERENCES people (id),
    expires_at BIGINT NOT NULL,
    record     TEXT   NOT NULL,
    seal       BLOB   NOT NULL
) WITHOUT ROWID;
CREATE INDEX sign_in_links_by_person ON sign_in_links (person);
CREATE INDEX sign_in_links_by_end ON sign_in_links (expires_at);
