-- Places of events that were there before the view. Inserting a place twice changes nothing.
-- migrate:up
INSERT INTO ${database}.events_by_actor${local}
    (workspace_id, actor_key, timestamp, mid, source, name, device_key)
SELECT
    workspace_id,
    actor_key,
    timestamp,
    mid,
    'group' AS source,
    '' AS name,
    multiIf(
        anonymous_id IN (
        '', 'null', 'NULL', 'Null', 'nil', 'none', 'None', 'undefined', 'anonymous', 'nan', 'NaN',
        '[object Object]', '00000000-0000-0000-0000-000000000000'),
        0,
        user_id IN (
        '', 'null', 'NULL', 'Null', 'nil', 'none', 'None', 'undefined', 'anonymous', 'nan', 'NaN',
        '[object Object]', '00000000-0000-0000-0000-000000000000'),
        actor_key,
        reinterpretAsUInt64(substring(SHA1(concat(UUIDToNum(workspace_id), 'a', anonymous_id)), 1, 8))) AS device_key
FROM ${database}.events_group${local}
SETTINGS max_partitions_per_insert_block = 0;

-- migrate:down
SELECT 1;
