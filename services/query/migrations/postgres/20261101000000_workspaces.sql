-- migrate:up
CREATE SCHEMA IF NOT EXISTS query;
CREATE TABLE IF NOT EXISTS query.workspaces (
    workspace_id uuid PRIMARY KEY,
    name text NOT NULL DEFAULT '',
    timezone text NOT NULL DEFAULT 'UTC',
    week_start text NOT NULL DEFAULT 'monday' CHECK (week_start IN ('monday', 'sunday')),
    clock timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL DEFAULT ''
);

-- migrate:down
DROP TABLE IF EXISTS query.workspaces;
DROP SCHEMA IF EXISTS query;
