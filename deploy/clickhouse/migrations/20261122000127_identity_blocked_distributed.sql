-- only: cluster
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.identity_blocked${on_cluster}
AS ${database}.identity_blocked${local}
ENGINE = Distributed(${cluster}, ${database}, identity_blocked${local}, actor_key);

-- migrate:down
DROP TABLE IF EXISTS ${database}.identity_blocked${on_cluster};
