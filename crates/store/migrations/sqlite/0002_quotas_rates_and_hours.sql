-- Quotas, rates and counts by the hour. None of it is a change: it takes no revision and is in no log.

-- How much of a quota is spent in one period, as far as is known: by (API, quota's name, whose requests it
-- counts, period). counted_of is the id of a project, an organization or a lineage's first key.
CREATE TABLE quota_tallies (
    api        TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    counted_of TEXT   NOT NULL,
    period     TEXT   NOT NULL,
    ends_at    BIGINT,
    spent      BIGINT NOT NULL CHECK (spent >= 0),
    PRIMARY KEY (api, name, counted_of, period)
) WITHOUT ROWID;
CREATE INDEX quota_tallies_by_end ON quota_tallies (ends_at) WHERE ends_at IS NOT NULL;

-- Units of a tally that a node (its run, 16 bytes) took and may spend from memory. recalled is 1 where it was
-- asked to give back what lies idle. A holding of nothing has no row.
CREATE TABLE quota_holdings (
    api        TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    counted_of TEXT   NOT NULL,
    period     TEXT   NOT NULL,
    holder     BLOB   NOT NULL,
    held       BIGINT NOT NULL CHECK (held > 0),
    recalled   BIGINT NOT NULL,
    PRIMARY KEY (api, name, counted_of, period, holder),
    FOREIGN KEY (api, name, counted_of, period) REFERENCES quota_tallies (api, name, counted_of, period)
) WITHOUT ROWID;
CREATE INDEX quota_holdings_recalled ON quota_holdings (holder) WHERE recalled = 1;

-- Where rates stood when they were last kept. unit_nanos is how long one unit took, full_at when the whole
-- burst is there again.
CREATE TABLE saved_rates (
    api        TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    counted_of TEXT   NOT NULL,
    unit_nanos BIGINT NOT NULL,
    full_at    BIGINT NOT NULL,
    PRIMARY KEY (api, name, counted_of)
) WITHOUT ROWID;
CREATE INDEX saved_rates_by_end ON saved_rates (full_at);

-- Uses counted by the hour (its start), which outlive the minutes they are added from.
CREATE TABLE usage_hours (
    project TEXT   NOT NULL,
    hour    BIGINT NOT NULL,
    key_id  TEXT   NOT NULL,
    outcome TEXT   NOT NULL,
    count   BIGINT NOT NULL,
    PRIMARY KEY (project, hour, key_id, outcome)
) WITHOUT ROWID;
INSERT INTO usage_hours (project, hour, key_id, outcome, count)
    SELECT project, minute / 3600000 * 3600000, key_id, outcome, CAST(SUM(count) AS BIGINT) FROM usage
    GROUP BY project, minute / 3600000 * 3600000, key_id, outcome;
CREATE INDEX usage_hours_by_hour ON usage_hours (hour);

-- Minutes are forgotten by their age.
CREATE INDEX usage_by_age ON usage (minute);
