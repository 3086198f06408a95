-- State and log. Times are milliseconds since the Unix epoch, ids are the texts that people see.
--
-- A record is kept whole, as JSON, with a seal over exactly those bytes (core's LogKeys::seal); the columns
-- beside it repeat what SQL must find, order or count by. Rows of records are never deleted.
--
-- 0x4b595744 is "KYWD": `file` and other tools can tell the file by it.
PRAGMA application_id = 1264146244;

-- One row: which store this is, and where its log stands. probe counts writes that only asked whether there
-- is room again: SQLite writes nothing where nothing differs.
CREATE TABLE store (
    only_row      INTEGER PRIMARY KEY CHECK (only_row = 1),
    id            TEXT    NOT NULL,
    created_at    BIGINT  NOT NULL,
    public_key    BLOB    NOT NULL,
    seal          BLOB    NOT NULL,
    head_revision BIGINT  NOT NULL,
    head_hash     BLOB    NOT NULL,
    probe         BIGINT  NOT NULL DEFAULT 0
);

CREATE TABLE log (
    revision     INTEGER PRIMARY KEY,
    at           BIGINT NOT NULL,
    name         TEXT   NOT NULL,
    organization TEXT,
    project      TEXT,
    key_id       TEXT,
    body         TEXT   NOT NULL,
    hash         BLOB   NOT NULL
);
CREATE INDEX log_by_organization ON log (organization, revision) WHERE organization IS NOT NULL;
CREATE INDEX log_by_project ON log (project, revision) WHERE project IS NOT NULL;
CREATE INDEX log_by_key ON log (key_id, revision) WHERE key_id IS NOT NULL;
CREATE INDEX log_by_time ON log (project, at, revision, name, key_id) WHERE project IS NOT NULL;

CREATE TABLE apis (
    name     TEXT   PRIMARY KEY,
    revision BIGINT NOT NULL,
    record   TEXT   NOT NULL,
    seal     BLOB   NOT NULL
);

CREATE TABLE organizations (
    id               TEXT   PRIMARY KEY,
    state            TEXT   NOT NULL,
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT   NOT NULL,
    seal             BLOB   NOT NULL
);
CREATE INDEX organizations_by_age ON organizations (created_revision) WHERE state <> 'deleted';

CREATE TABLE projects (
    id               TEXT   PRIMARY KEY,
    organization     TEXT   NOT NULL REFERENCES organizations (id),
    state            TEXT   NOT NULL,
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT   NOT NULL,
    seal             BLOB   NOT NULL
);
CREATE INDEX projects_by_age ON projects (organization, created_revision) WHERE state <> 'deleted';

-- ends_at: the end of the overlap, where the state is retiring.
CREATE TABLE keys (
    id               TEXT   PRIMARY KEY,
    project          TEXT   NOT NULL REFERENCES projects (id),
    name             TEXT,
    state            TEXT   NOT NULL,
    ends_at          BIGINT,
    expires_at       BIGINT,
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT   NOT NULL,
    seal             BLOB   NOT NULL
);
CREATE INDEX keys_by_age ON keys (project, created_revision);
CREATE INDEX keys_not_revoked ON keys (project, created_revision, state, ends_at, expires_at, id)
    WHERE state <> 'revoked';

-- A key has one digest for each pepper it was made or seen under.
CREATE TABLE digests (
    digest BLOB   PRIMARY KEY,
    key_id TEXT   NOT NULL REFERENCES keys (id),
    pepper BIGINT NOT NULL,
    seal   BLOB   NOT NULL
) WITHOUT ROWID;
CREATE INDEX digests_by_key ON digests (key_id, pepper);

CREATE TABLE management_keys (
    id               TEXT   PRIMARY KEY,
    digest           BLOB   NOT NULL UNIQUE,
    created_revision BIGINT NOT NULL UNIQUE,
    revision         BIGINT NOT NULL,
    record           TEXT   NOT NULL,
    seal             BLOB   NOT NULL
);

-- What follows is no change: it decides nothing and takes no revision.

CREATE TABLE idempotency (
    caller      TEXT   NOT NULL,
    request_key TEXT   NOT NULL,
    fingerprint BLOB   NOT NULL,
    answer      TEXT   NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (caller, request_key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (at);

CREATE TABLE canaries (
    version INTEGER PRIMARY KEY,
    canary  BLOB NOT NULL
);

-- Uses folded by key, minute and outcome. granted is 1 where the outcome is "valid".
CREATE TABLE usage (
    id           INTEGER PRIMARY KEY,
    project      TEXT   NOT NULL,
    key_id       TEXT   NOT NULL,
    minute       BIGINT NOT NULL,
    outcome      TEXT   NOT NULL,
    granted      BIGINT NOT NULL,
    count        BIGINT NOT NULL,
    first_at     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    last_address TEXT,
    UNIQUE (key_id, minute, outcome, project)
);
CREATE INDEX usage_by_project ON usage (project, granted, first_at, id);
CREATE INDEX usage_by_key ON usage (key_id, granted, first_at, id);

CREATE TABLE key_usage (
    key_id       TEXT   PRIMARY KEY,
    last_used_at BIGINT,
    granted      BIGINT NOT NULL,
    refused      BIGINT NOT NULL
) WITHOUT ROWID;

-- Batches of uses that were added, so that none is added twice.
CREATE TABLE usage_batches (
    incarnation BLOB   NOT NULL,
    sequence    BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (incarnation, sequence)
) WITHOUT ROWID;
CREATE INDEX usage_batches_by_age ON usage_batches (at);
