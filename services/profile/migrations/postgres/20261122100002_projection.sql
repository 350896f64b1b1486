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

-- migrate:down
DROP TABLE IF EXISTS profile.outbox;
DROP TABLE IF EXISTS profile.progress;
