-- The traits of profiles, for queries: kept by the profile service (services/profile/projection). `actor_key`: the key
-- that all of a person's events resolve to; `value`: JSON; `num`: the value when it is a number.
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.profile_traits${local}${on_cluster}
(
    workspace_id UUID,
    actor_key UInt64,
    key LowCardinality(String),
    value String,
    num Nullable(Float64),
    at DateTime64(3, 'UTC'),
    version UInt64,
    unset UInt8
)
ENGINE = ${replicated}ReplacingMergeTree(version, unset)
ORDER BY (workspace_id, key, actor_key);

-- migrate:down
DROP TABLE IF EXISTS ${database}.profile_traits${local}${on_cluster};
