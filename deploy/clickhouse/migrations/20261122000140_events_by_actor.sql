-- Where a person's events are: the places of all four tables' rows, ordered by actor and time. A page of a timeline is
-- found here and its rows then read by their whole sorting keys. `device_key`: of the anonymous id on the row, 0 without.
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.events_by_actor${local}${on_cluster}
(
    workspace_id UUID,
    actor_key UInt64,
    timestamp DateTime64(3, 'UTC'),
    mid UInt64,
    source Enum8('track' = 1, 'identify' = 2, 'page' = 3, 'group' = 4),
    name LowCardinality(String),
    device_key UInt64
)
ENGINE = ${replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (workspace_id, actor_key, timestamp, mid, source, name)
SETTINGS
    index_granularity = 1024,
    min_age_to_force_merge_seconds = 3600,
    min_age_to_force_merge_on_partition_only = 1;

-- migrate:down
DROP TABLE IF EXISTS ${database}.events_by_actor${local}${on_cluster};
