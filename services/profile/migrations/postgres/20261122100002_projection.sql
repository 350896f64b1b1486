-- migrate:up
-- How far the event tables have been projected: the highest block number up to which every block has been read, by
-- shard ('' on one node), table and partition.
CREATE TABLE IF NOT EXISTS profile.progress (
    shard text NOT NULL,
    table_name text NOT NULL,
    partition_id text NOT NULL,
    block bigint NOT NULL,
    PRIMARY KEY (shard, table_name, partition_id)
);

-- Changes decided here and not yet published: written with the change, removed once JetStream has it.
CREATE TABLE IF NOT EXISTS profile.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL,
    profile_id uuid NOT NULL,
    message text NOT NULL -- JSON: contracts.durable.ProfileChanged
);
CREATE INDEX IF NOT EXISTS outbox_by_profile ON profile.outbox (profile_id);

-- Traits on their way into cdp.profile_traits: written with the profiles, removed once ClickHouse has them.
CREATE TABLE IF NOT EXISTS profile.trait_writes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL,
    rows text NOT NULL -- JSON: services/profile/projection/traits.py
);

-- The keys of blocked ids that profiles were last made with.
CREATE TABLE IF NOT EXISTS profile.blocked (
    workspace_id uuid NOT NULL,
    actor_key bigint NOT NULL,
    PRIMARY KEY (workspace_id, actor_key)
);

-- migrate:down
DROP TABLE IF EXISTS profile.blocked;
DROP TABLE IF EXISTS profile.trait_writes;
DROP TABLE IF EXISTS profile.outbox;
DROP TABLE IF EXISTS profile.progress;
