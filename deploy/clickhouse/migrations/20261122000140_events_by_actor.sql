-- The events of all four tables once more, in the order in which one person's are read. `device_key`: the key of the
-- anonymous id on the row, 0 without; `object`, `context`: JSON text, whole. See README.md for what it costs.
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.events_by_actor${local}${on_cluster}
(
    workspace_id UUID,
    actor_key UInt64,
    timestamp DateTime64(3, 'UTC'),
    message_id String,
    source Enum8('group' = 1, 'identify' = 2, 'page' = 3, 'track' = 4),
    name LowCardinality(String),
    version UInt64,
    device_key UInt64,
    user_id String,
    anonymous_id String,
    group_id String,
    object String CODEC(ZSTD(1)),
    context String CODEC(ZSTD(1)),
    received_at DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(toInt64(9223372036854775807 - version), 'UTC')
)
ENGINE = ${replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (workspace_id, actor_key, timestamp, message_id, source, name)
SETTINGS
    index_granularity = 1024,
    min_age_to_force_merge_seconds = 3600,
    min_age_to_force_merge_on_partition_only = 1;

-- migrate:down
DROP TABLE IF EXISTS ${database}.events_by_actor${local}${on_cluster};
