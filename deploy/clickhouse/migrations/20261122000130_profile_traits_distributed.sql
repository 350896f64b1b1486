-- only: cluster
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.profile_traits${on_cluster}
AS ${database}.profile_traits${local}
ENGINE = Distributed(${cluster}, ${database}, profile_traits${local}, actor_key);

-- migrate:down
DROP TABLE IF EXISTS ${database}.profile_traits${on_cluster};
