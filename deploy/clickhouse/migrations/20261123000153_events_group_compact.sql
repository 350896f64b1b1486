-- As for track events.
-- migrate:up
ALTER TABLE ${database}.events_group${local}${on_cluster} MODIFY SETTING min_bytes_for_wide_part = 67108864;

-- migrate:down
ALTER TABLE ${database}.events_group${local}${on_cluster} RESET SETTING min_bytes_for_wide_part;
