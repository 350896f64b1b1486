-- only: cluster
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.identity_merges${on_cluster}
AS ${database}.identity_merges${local}
ENGINE = Distributed(${cluster}, ${database}, identity_merges${local}, loser_key);

-- migrate:down
DROP TABLE IF EXISTS ${database}.identity_merges${on_cluster};
