-- What the pages of the dashboard sort and filter by.

-- When a key was made, to tell which ones nobody uses.
ALTER TABLE keys ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
UPDATE keys SET created_at =
    COALESCE(CAST(ROUND(unixepoch(json_extract(record, '$.created_at'), 'subsec') * 1000) AS INTEGER), 0);

-- A project's changes of one name, however many others there are.
CREATE INDEX log_by_name ON log (project, name, at, revision) WHERE project IS NOT NULL;
