-- only: cluster
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.events_by_actor${on_cluster}
AS ${database}.events_by_actor${local}
ENGINE = Distributed(${cluster}, ${database}, events_by_actor${local}, actor_key);

-- migrate:down
DROP TABLE IF EXISTS ${database}.events_by_actor${on_cluster};
