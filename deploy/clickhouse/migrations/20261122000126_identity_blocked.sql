-- Ids that a workspace counts as none, by the keys rows of theirs have; links with them do not count. Written by
-- `PUT /workspace`; a row with a higher `version` and `undone` takes one back.
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.identity_blocked${local}${on_cluster}
(
    workspace_id UUID,
    actor_key UInt64,
    undone Bool,
    version UInt64
)
ENGINE = ${replicated}ReplacingMergeTree(version)
ORDER BY (workspace_id, actor_key);

-- migrate:down
DROP TABLE IF EXISTS ${database}.identity_blocked${local}${on_cluster};
