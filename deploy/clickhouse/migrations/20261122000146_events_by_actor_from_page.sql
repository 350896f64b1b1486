-- The settings are those the text is written with, whatever the writer's own say.
-- migrate:up
CREATE MATERIALIZED VIEW IF NOT EXISTS ${database}.events_by_actor_from_page${on_cluster}
TO ${database}.events_by_actor${local} AS
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
SETTINGS type_json_skip_null_typed_paths = 1, output_format_json_quote_64bit_integers = 0;

-- migrate:down
DROP TABLE IF EXISTS ${database}.events_by_actor_from_page${on_cluster};
