-- Ingestion's read contract: exactly these columns, for whoever reads profiles. The projector keeps it, unless
-- ingestion owns it (ANALYTICS_PROFILES_SOURCE=external).
-- migrate:up
CREATE TABLE IF NOT EXISTS profiles (
    id uuid PRIMARY KEY, -- UUIDv5 of the workspace and the id that names the person: services/profile/ids.py
    workspace_id uuid NOT NULL,
    user_id text, -- null for a person without one
    anonymous_ids text[] NOT NULL DEFAULT '{}', -- sorted
    traits jsonb NOT NULL DEFAULT '{}',
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS profiles_by_last_seen ON profiles (workspace_id, last_seen_at DESC, id DESC);

-- migrate:down
DROP TABLE IF EXISTS profiles;
