-- Links of events that were there before the view. Inserting a link twice changes nothing.
-- migrate:up
INSERT INTO ${database}.identity_links${local}
    (workspace_id, anonymous_key, user_key, anonymous_id, user_id, first_seen)
SELECT
    workspace_id,
    reinterpretAsUInt64(substring(SHA1(concat(UUIDToNum(workspace_id), 'a', anonymous_id)), 1, 8)) AS anonymous_key,
    actor_key AS user_key,
    anonymous_id,
    user_id,
    timestamp AS first_seen
FROM ${database}.events_group${local}
WHERE user_id NOT IN (
        '', 'null', 'NULL', 'Null', 'nil', 'none', 'None', 'undefined', 'anonymous', 'nan', 'NaN',
        '[object Object]', '00000000-0000-0000-0000-000000000000')
    AND anonymous_id NOT IN (
        '', 'null', 'NULL', 'Null', 'nil', 'none', 'None', 'undefined', 'anonymous', 'nan', 'NaN',
        '[object Object]', '00000000-0000-0000-0000-000000000000');

-- migrate:down
SELECT 1;
