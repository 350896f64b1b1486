-- Texts hold JSON: jsonb cannot keep every character that an event may.
-- migrate:up
ALTER TABLE query.workspaces
    ADD COLUMN IF NOT EXISTS blocked_ids text[] NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS internal_users text,
    ADD COLUMN IF NOT EXISTS limits text NOT NULL DEFAULT '{}';

-- migrate:down
ALTER TABLE query.workspaces
    DROP COLUMN IF EXISTS blocked_ids,
    DROP COLUMN IF EXISTS internal_users,
    DROP COLUMN IF EXISTS limits;
