-- Events that were there before the view. Inserting one twice changes nothing.
-- migrate:up
INSERT INTO ${database}.events_by_actor${local}
    (workspace_id, actor_key, timestamp, message_id, source, name, version, device_key, user_id, anonymous_id, group_id,
    object, context)
SELECT
    workspace_id,
    actor_key,
    timestamp,
    message_id,
    'page' AS source,
    name,
    version,
    multiIf(
        anonymous_id IN (
        '', 'null', 'NULL', 'Null', 'nil', 'none', 'None', 'undefined', 'anonymous', 'nan', 'NaN',
        '[object Object]', '00000000-0000-0000-0000-000000000000'),
        0,
        user_id IN (
        '', 'null', 'NULL', 'Null', 'nil', 'none', 'None', 'undefined', 'anonymous', 'nan', 'NaN',
        '[object Object]', '00000000-0000-0000-0000-000000000000'),
        actor_key,
        reinterpretAsUInt64(substring(SHA1(concat(UUIDToNum(workspace_id), 'a', anonymous_id)), 1, 8))) AS device_key,
    user_id,
    anonymous_id,
    '' AS group_id,
    toJSONString(properties) AS object,
    toJSONString(context) AS context
FROM ${database}.events_page${local}
SETTINGS type_json_skip_null_typed_paths = 1, output_format_json_quote_64bit_integers = 0, max_partitions_per_insert_block = 0;

-- migrate:down
SELECT 1;
