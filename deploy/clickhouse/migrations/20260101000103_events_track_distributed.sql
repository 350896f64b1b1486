-- only: cluster
-- Every row of one message lands on one shard, where ReplacingMergeTree sees its duplicates.
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.events_track${on_cluster}
AS ${database}.events_track${local}
ENGINE = Distributed(${cluster}, ${database}, events_track${local}, sipHash64(workspace_id, if(user_id = '', anonymous_id, user_id)));

-- migrate:down
DROP TABLE IF EXISTS ${database}.events_track${on_cluster};
