-- migrate:up
-- Explicit merges as they were asked for. `applied` tells whether ClickHouse's identity_merges, and the profiles, say the
-- same yet.
CREATE TABLE IF NOT EXISTS profile.merges (
    id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    loser_key bigint NOT NULL,
    loser_kind text NOT NULL CHECK (loser_kind IN ('user', 'anonymous')),
    loser_id text NOT NULL,
    winner_key bigint NOT NULL,
    winner_kind text NOT NULL CHECK (winner_kind IN ('user', 'anonymous')),
    winner_id text NOT NULL,
    version bigint NOT NULL, -- of the row in ClickHouse; grows with every change of a merge of this loser
    applied boolean NOT NULL DEFAULT false,
    merged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    merged_by text NOT NULL,
    undone_at timestamptz,
    undone_by text
);
CREATE UNIQUE INDEX IF NOT EXISTS merges_in_force ON profile.merges (workspace_id, loser_key) WHERE undone_at IS NULL;
CREATE INDEX IF NOT EXISTS merges_by_loser ON profile.merges (workspace_id, loser_key, version);
CREATE INDEX IF NOT EXISTS merges_by_winner ON profile.merges (workspace_id, winner_key);
CREATE INDEX IF NOT EXISTS merges_unapplied ON profile.merges (workspace_id) WHERE NOT applied;

-- migrate:down
DROP TABLE IF EXISTS profile.merges;
