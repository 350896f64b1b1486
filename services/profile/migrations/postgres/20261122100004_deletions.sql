-- migrate:up
-- The audit of deletions: what was done and when, of whom only the keys, which are hashes.
CREATE TABLE IF NOT EXISTS profile.deletions (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    actor_keys bigint[] NOT NULL,
    profiles uuid[] NOT NULL, -- hashes, too
    actors text, -- JSON, [[kind, id], …]: only until every store is done
    requested_at timestamptz NOT NULL DEFAULT now(),
    requested_by text NOT NULL,
    done text[] NOT NULL DEFAULT '{}', -- the stores that are
    completed_at timestamptz
);
CREATE INDEX IF NOT EXISTS deletions_by_age ON profile.deletions (workspace_id, requested_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS deletions_open ON profile.deletions (requested_at) WHERE completed_at IS NULL;

-- Whose events are never projected again, and are removed when they come.
CREATE TABLE IF NOT EXISTS profile.suppressions (
    workspace_id uuid NOT NULL,
    actor_key bigint NOT NULL,
    deletion_id uuid NOT NULL REFERENCES profile.deletions (id),
    suppressed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, actor_key)
);

-- migrate:down
DROP TABLE IF EXISTS profile.suppressions;
DROP TABLE IF EXISTS profile.deletions;
