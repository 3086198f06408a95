-- What changes of many things are about, one row for each beside the columns of the log: every key, and the projects and
-- organizations where there are several. key_id is '' in a project's row, project too in an organization's. at and name are
-- the entry's.
CREATE TABLE log_subjects (
    revision     BIGINT NOT NULL,
    organization TEXT   NOT NULL,
    project      TEXT   NOT NULL,
    key_id       TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    name         TEXT   NOT NULL,
    PRIMARY KEY (revision, organization, project, key_id)
) WITHOUT ROWID;
CREATE INDEX log_subjects_by_organization ON log_subjects (organization, revision) WHERE project = '';
CREATE INDEX log_subjects_by_project ON log_subjects (project, at, revision, name) WHERE key_id = '';
CREATE INDEX log_subjects_by_key ON log_subjects (key_id, at, revision) WHERE key_id <> '';
