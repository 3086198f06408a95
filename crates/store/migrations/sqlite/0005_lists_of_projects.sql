-- Projects of all organizations: by age, and by how their names begin.
CREATE INDEX projects_of_all_by_age ON projects (created_revision) WHERE state <> 'deleted';
CREATE INDEX projects_of_all_by_name ON projects (lower(json_extract(record, '$.name'))) WHERE state <> 'deleted';
