-- A project's name beside its record: not every database reads JSON as SQLite does.
ALTER TABLE projects ADD COLUMN name TEXT NOT NULL DEFAULT '';
UPDATE projects SET name = COALESCE(json_extract(record, '$.name'), '');
DROP INDEX projects_of_all_by_name;
CREATE INDEX projects_of_all_by_name ON projects (lower(name)) WHERE state <> 'deleted';
