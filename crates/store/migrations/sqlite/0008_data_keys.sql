-- Data keys, under which fields are encrypted. A project's keyring says which there are and is a record like any other;
-- the keys themselves stand beside it, wrapped under a key-encryption key that is not in the store. Shredding deletes
-- their rows, and nothing of them is in the log.

CREATE TABLE data_keys (
    project          TEXT   PRIMARY KEY REFERENCES projects (id),
    created_revision BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    record           TEXT   NOT NULL,
    seal             BLOB   NOT NULL
);

CREATE TABLE wrapped_data_keys (
    id          TEXT   PRIMARY KEY,
    project     TEXT   NOT NULL REFERENCES projects (id),
    kek_version BIGINT NOT NULL,
    wrapped     BLOB   NOT NULL,
    seal        BLOB   NOT NULL
) WITHOUT ROWID;
CREATE INDEX wrapped_data_keys_by_kek ON wrapped_data_keys (kek_version, id);

-- Versions of key-encryption keys under which nothing is wrapped any more.
CREATE TABLE retired_encryption_keys (
    version INTEGER PRIMARY KEY
);
