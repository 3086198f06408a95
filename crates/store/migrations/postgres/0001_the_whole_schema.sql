-- State and log, as on SQLite (migrations/sqlite), for databases that speak PostgreSQL. Texts compare by their bytes
-- ("C"), whatever the database's language; where others wrote them, a NUL in them stands as `dialect` says.
-- Times are milliseconds since the Unix epoch, ids are the texts that people see.
--
-- A record is kept whole, as JSON, with a seal over exactly those bytes (core's LogKeys::seal); the columns
-- beside it repeat what SQL must find, order or count by. Rows of records are never deleted.

-- One row: which store this is, and where its log stands. probe counts writes that only asked whether there
-- is room again. epoch is new with every database that the store was imported into. Whoever makes changes locks this
-- row first: so the order of commits is that of revisions.
CREATE TABLE store (
    only_row      BIGINT PRIMARY KEY CHECK (only_row = 1),
    id            TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT NOT NULL,
    public_key    BYTEA NOT NULL,
    seal          BYTEA NOT NULL,
    head_revision BIGINT NOT NULL,
    head_hash     BYTEA NOT NULL,
    probe         BIGINT NOT NULL DEFAULT 0,
    epoch         TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE log (
    revision     BIGINT PRIMARY KEY,
    at           BIGINT NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    organization TEXT COLLATE "C",
    project      TEXT COLLATE "C",
    key_id       TEXT COLLATE "C",
    body         TEXT NOT NULL,
    hash         BYTEA NOT NULL
);
CREATE INDEX log_by_organization ON log (organization, revision) WHERE organization IS NOT NULL;
CREATE INDEX log_by_project ON log (project, revision) WHERE project IS NOT NULL;
CREATE INDEX log_by_key ON log (key_id, revision) WHERE key_id IS NOT NULL;
CREATE INDEX log_by_time ON log (project, at, revision, name, key_id) WHERE project IS NOT NULL;

-- What changes of many things are about, one row for each beside the columns of the log: every key, and the projects and
-- organizations where there are several. key_id is '' in a project's row, project too in an organization's. at and name
-- are the entry's.
CREATE TABLE log_subjects (
    revision     BIGINT NOT NULL,
    organization TEXT COLLATE "C" NOT NULL,
    project      TEXT COLLATE "C" NOT NULL,
    key_id       TEXT COLLATE "C" NOT NULL,
    at           BIGINT NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (revision, organization, project, key_id)
);
CREATE INDEX log_subjects_by_organization ON log_subjects (organization, revision) WHERE project = '';
CREATE INDEX log_subjects_by_project ON log_subjects (project, at, revision, name) WHERE key_id = '';
CREATE INDEX log_subjects_by_key ON log_subjects (key_id, at, revision) WHERE key_id <> '';

CREATE TABLE apis (
    name     TEXT COLLATE "C" PRIMARY KEY,
    revision BIGINT NOT NULL,
    record   TEXT NOT NULL,
    seal     BYTEA NOT NULL
);

CREATE TABLE organizations (
    id               TEXT COLLATE "C" PRIMARY KEY,
    state            TEXT COLLATE "C" NOT NULL,
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT NOT NULL,
    seal             BYTEA NOT NULL
);
CREATE INDEX organizations_by_age ON organizations (created_revision) WHERE state <> 'deleted';

CREATE TABLE projects (
    id               TEXT COLLATE "C" PRIMARY KEY,
    organization     TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    name             TEXT COLLATE "C" NOT NULL,
    state            TEXT COLLATE "C" NOT NULL,
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT NOT NULL,
    seal             BYTEA NOT NULL
);
CREATE INDEX projects_by_age ON projects (organization, created_revision) WHERE state <> 'deleted';

-- ends_at: the end of the overlap, where the state is retiring.
CREATE TABLE keys (
    id               TEXT COLLATE "C" PRIMARY KEY,
    project          TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
    name             TEXT COLLATE "C",
    state            TEXT COLLATE "C" NOT NULL,
    ends_at          BIGINT,
    expires_at       BIGINT,
    created_at       BIGINT NOT NULL,
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT NOT NULL,
    seal             BYTEA NOT NULL
);
CREATE INDEX keys_by_age ON keys (project, created_revision);
CREATE INDEX keys_not_revoked ON keys (project, created_revision, state, ends_at, expires_at, id)
    WHERE state <> 'revoked';

-- A key has one digest for each pepper it was made or seen under.
CREATE TABLE digests (
    digest BYTEA PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL REFERENCES keys (id),
    pepper BIGINT NOT NULL,
    seal   BYTEA NOT NULL
);
CREATE INDEX digests_by_key ON digests (key_id, pepper);

CREATE TABLE management_keys (
    id               TEXT COLLATE "C" PRIMARY KEY,
    digest           BYTEA NOT NULL UNIQUE,
    created_revision BIGINT NOT NULL UNIQUE,
    revision         BIGINT NOT NULL,
    record           TEXT NOT NULL,
    seal             BYTEA NOT NULL
);

-- What follows is no change: it decides nothing and takes no revision.

CREATE TABLE idempotency (
    caller      TEXT COLLATE "C" NOT NULL,
    request_key TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL,
    answer      TEXT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (caller, request_key)
);
CREATE INDEX idempotency_by_age ON idempotency (at);

CREATE TABLE canaries (
    version BIGINT PRIMARY KEY,
    canary  BYTEA NOT NULL
);

-- Uses folded by key, minute and outcome. granted is 1 where the outcome is "valid".
CREATE TABLE usage (
    id           BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    project      TEXT COLLATE "C" NOT NULL,
    key_id       TEXT COLLATE "C" NOT NULL,
    minute       BIGINT NOT NULL,
    outcome      TEXT COLLATE "C" NOT NULL,
    granted      BIGINT NOT NULL,
    count        BIGINT NOT NULL,
    first_at     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL,
    last_address TEXT COLLATE "C",
    UNIQUE (key_id, minute, outcome, project)
);
CREATE INDEX usage_by_project ON usage (project, granted, first_at, id);
CREATE INDEX usage_by_key ON usage (key_id, granted, first_at, id);

CREATE TABLE key_usage (
    key_id       TEXT COLLATE "C" PRIMARY KEY,
    last_used_at BIGINT,
    granted      BIGINT NOT NULL,
    refused      BIGINT NOT NULL
);

-- Batches of uses that were added, so that none is added twice.
CREATE TABLE usage_batches (
    incarnation BYTEA NOT NULL,
    sequence    BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (incarnation, sequence)
);
CREATE INDEX usage_batches_by_age ON usage_batches (at);

-- Quotas, rates and counts by the hour. None of it is a change: it takes no revision and is in no log.

-- How much of a quota is spent in one period, as far as is known: by (API, quota's name, whose requests it
-- counts, period). counted_of is the id of a project, an organization or a lineage's first key.
CREATE TABLE quota_tallies (
    api        TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    counted_of TEXT COLLATE "C" NOT NULL,
    period     TEXT COLLATE "C" NOT NULL,
    ends_at    BIGINT,
    spent      BIGINT NOT NULL CHECK (spent >= 0),
    PRIMARY KEY (api, name, counted_of, period)
);
CREATE INDEX quota_tallies_by_end ON quota_tallies (ends_at) WHERE ends_at IS NOT NULL;

-- Units of a tally that a node (its run, 16 bytes) took and may spend from memory. recalled is 1 where it was
-- asked to give back what lies idle. A holding of nothing has no row.
CREATE TABLE quota_holdings (
    api        TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    counted_of TEXT COLLATE "C" NOT NULL,
    period     TEXT COLLATE "C" NOT NULL,
    holder     BYTEA NOT NULL,
    held       BIGINT NOT NULL CHECK (held > 0),
    recalled   BIGINT NOT NULL,
    PRIMARY KEY (api, name, counted_of, period, holder),
    FOREIGN KEY (api, name, counted_of, period) REFERENCES quota_tallies (api, name, counted_of, period)
);
CREATE INDEX quota_holdings_recalled ON quota_holdings (holder) WHERE recalled = 1;

-- Where rates stood when they were last kept. unit_nanos is how long one unit took, full_at when the whole
-- burst is there again.
CREATE TABLE saved_rates (
    api        TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    counted_of TEXT COLLATE "C" NOT NULL,
    unit_nanos BIGINT NOT NULL,
    full_at    BIGINT NOT NULL,
    PRIMARY KEY (api, name, counted_of)
);
CREATE INDEX saved_rates_by_end ON saved_rates (full_at);

-- Uses counted by the hour (its start), which outlive the minutes they are added from.
CREATE TABLE usage_hours (
    project TEXT COLLATE "C" NOT NULL,
    hour    BIGINT NOT NULL,
    key_id  TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    count   BIGINT NOT NULL,
    PRIMARY KEY (project, hour, key_id, outcome)
);
CREATE INDEX usage_hours_by_hour ON usage_hours (hour);

-- Minutes are forgotten by their age.
CREATE INDEX usage_by_age ON usage (minute);

-- People, how they sign in, and how they are invited. Columns beside a record repeat what SQL must find by.

CREATE TABLE people (
    id               TEXT COLLATE "C" PRIMARY KEY,
    email            TEXT COLLATE "C" NOT NULL UNIQUE,
    is_operator      BIGINT NOT NULL,
    state            TEXT COLLATE "C" NOT NULL,
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT NOT NULL,
    seal             BYTEA NOT NULL
);
CREATE INDEX people_by_age ON people (created_revision);
CREATE INDEX people_operators ON people (created_revision) WHERE is_operator = 1;

-- Made anew from the person's record whenever that is written. created_revision is the person's.
CREATE TABLE memberships (
    person           TEXT COLLATE "C" NOT NULL REFERENCES people (id),
    organization     TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    role             TEXT COLLATE "C" NOT NULL,
    created_revision BIGINT NOT NULL,
    PRIMARY KEY (person, organization)
);
CREATE INDEX memberships_by_age ON memberships (organization, created_revision);
CREATE INDEX memberships_by_role ON memberships (organization, role);

-- Who people are at OpenID providers, from their records.
CREATE TABLE identities (
    issuer  TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    person  TEXT COLLATE "C" NOT NULL REFERENCES people (id),
    PRIMARY KEY (issuer, subject)
);

-- Hashes of passwords, with a seal over whose they are. In no record and no log.
CREATE TABLE passwords (
    person TEXT COLLATE "C" PRIMARY KEY REFERENCES people (id),
    phc    TEXT NOT NULL,
    seal   BYTEA NOT NULL
);

CREATE TABLE invitations (
    id               TEXT COLLATE "C" PRIMARY KEY,
    organization     TEXT COLLATE "C" REFERENCES organizations (id),
    digest           BYTEA NOT NULL UNIQUE,
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT NOT NULL,
    seal             BYTEA NOT NULL
);
CREATE INDEX invitations_by_age ON invitations (organization, created_revision);

-- What follows is no change, and its rows are deleted when they end.

-- seen_at is when it was last used, whatever the record says.
CREATE TABLE sessions (
    id         TEXT COLLATE "C" PRIMARY KEY,
    digest     BYTEA NOT NULL UNIQUE,
    person     TEXT COLLATE "C" NOT NULL REFERENCES people (id),
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    record     TEXT NOT NULL,
    seal       BYTEA NOT NULL
);
CREATE INDEX sessions_by_person ON sessions (person, created_at);
CREATE INDEX sessions_by_use ON sessions (seen_at);
CREATE INDEX sessions_by_end ON sessions (ends_at);

CREATE TABLE sign_in_links (
    digest     BYTEA PRIMARY KEY,
    person     TEXT COLLATE "C" NOT NULL REFERENCES people (id),
    expires_at BIGINT NOT NULL,
    record     TEXT NOT NULL,
    seal       BYTEA NOT NULL
);
CREATE INDEX sign_in_links_by_person ON sign_in_links (person);
CREATE INDEX sign_in_links_by_end ON sign_in_links (expires_at);

-- What the dashboard's lists need.
CREATE INDEX log_by_name ON log (project, name, at, revision) WHERE project IS NOT NULL;
CREATE INDEX projects_of_all_by_age ON projects (created_revision) WHERE state <> 'deleted';
CREATE INDEX projects_of_all_by_name ON projects (LOWER(name)) WHERE state <> 'deleted';

-- The nodes that share the store, each run of one a row of its own. Never copied: a store that is imported has none.
CREATE TABLE nodes (
    id         TEXT COLLATE "C" PRIMARY KEY,
    nonce      BYTEA NOT NULL,
    acked      BIGINT NOT NULL,
    lease_ms   BIGINT NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    version    TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    renewed_at BIGINT NOT NULL
);
