-- only: cluster
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.identity_links${on_cluster}
AS ${database}.identity_links${local}
ENGINE = Distributed(${cluster}, ${database}, identity_links${local}, anonymous_key);

-- migrate:down
DROP TABLE IF EXISTS ${database}.identity_links${on_cluster};
