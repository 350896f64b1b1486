-- migrate:up
CREATE SCHEMA IF NOT EXISTS profile;

-- Every id seen, and whose it is now: all redirects there are. A key is that of services/kit/identity.py, as a signed
-- integer of the same bits.
CREATE TABLE IF NOT EXISTS profile.identities (
    workspace_id uuid NOT NULL,
    actor_key bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('user', 'anonymous')),
    id text NOT NULL,
    own_profile uuid NOT NULL, -- the profile this id would have alone
    profile_id uuid NOT NULL, -- the profile it belongs to
    first_seen_at timestamptz NOT NULL, -- of this profile's events that carry it
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, actor_key)
);
CREATE UNIQUE INDEX IF NOT EXISTS identities_by_own_profile ON profile.identities (own_profile);
CREATE INDEX IF NOT EXISTS identities_by_profile ON profile.identities (profile_id);

-- Beside each profile: when each trait was set, and by which message, {"<key>": ["<ISO 8601>", "<message_id>"]}, and the
-- key of the id that names the profile: cdp.profile_traits has its traits under that.
CREATE TABLE IF NOT EXISTS profile.trait_origins (
    profile_id uuid PRIMARY KEY,
    workspace_id uuid NOT NULL,
    actor_key bigint NOT NULL,
    origins jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS trait_origins_by_key ON profile.trait_origins (workspace_id, actor_key);

-- migrate:down
DROP TABLE IF EXISTS profile.trait_origins;
DROP TABLE IF EXISTS profile.identities;
DROP SCHEMA IF EXISTS profile;
