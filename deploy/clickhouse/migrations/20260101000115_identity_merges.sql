-- Explicit merges: the loser redirects to the winner; a row with a higher version and `undone` takes it back.
-- Whoever writes here keeps merges free of circles.
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.identity_merges${local}${on_cluster}
(
    workspace_id UUID,
    loser_key UInt64,
    winner_key UInt64,
    winner_kind Enum8('user' = 1, 'anonymous' = 2),
    winner_id String,
    undone Bool,
    version UInt64
)
ENGINE = ${replicated}ReplacingMergeTree(version)
ORDER BY (workspace_id, loser_key);

-- migrate:down
DROP TABLE IF EXISTS ${database}.identity_merges${local}${on_cluster};
