-- Which anonymous ids were seen with which users, and when first. Keys as in services/kit/identity.py.
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.identity_links${local}${on_cluster}
(
    workspace_id UUID,
    anonymous_key UInt64,
    user_key UInt64,
    anonymous_id SimpleAggregateFunction(any, String),
    user_id SimpleAggregateFunction(any, String),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC'))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (workspace_id, anonymous_key, user_key);

-- migrate:down
DROP TABLE IF EXISTS ${database}.identity_links${local}${on_cluster};
