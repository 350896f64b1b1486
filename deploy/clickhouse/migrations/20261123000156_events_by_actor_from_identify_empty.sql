-- As for track events.
-- migrate:up
ALTER TABLE ${database}.events_by_actor_from_identify${on_cluster} MODIFY QUERY
SELECT
    workspace_id,
    actor_key,
    timestamp,
    message_id,
    'identify' AS source,
    '' AS name,
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
    CAST(traits, 'String') AS object,
    if(
        empty(JSONDynamicPaths(context)) AND empty(JSONSharedDataPaths(context)) AND context.app.name IS NULL AND
        context.app.version IS NULL AND context.campaign.content IS NULL AND context.campaign.medium IS NULL AND
        context.campaign.name IS NULL AND context.campaign.source IS NULL AND context.campaign.term IS NULL AND
        context.device.id IS NULL AND context.device.manufacturer IS NULL AND context.device.model IS NULL AND
        context.device.name IS NULL AND context.device.type IS NULL AND context.ip IS NULL AND context.library.name IS
        NULL AND context.library.version IS NULL AND context.locale IS NULL AND context.os.name IS NULL AND
        context.os.version IS NULL AND context.page.path IS NULL AND context.page.referrer IS NULL AND
        context.page.search IS NULL AND context.page.title IS NULL AND context.page.url IS NULL AND context.timezone
        IS NULL AND context.userAgent IS NULL,
        '{}',
        CAST(context, 'String')) AS context
FROM ${database}.events_identify${local}
SETTINGS type_json_skip_null_typed_paths = 1, output_format_json_quote_64bit_integers = 0;

-- migrate:down
ALTER TABLE ${database}.events_by_actor_from_identify${on_cluster} MODIFY QUERY
SELECT
    workspace_id,
    actor_key,
    timestamp,
    message_id,
    'identify' AS source,
    '' AS name,
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
    toJSONString(traits) AS object,
    toJSONString(context) AS context
FROM ${database}.events_identify${local}
SETTINGS type_json_skip_null_typed_paths = 1, output_format_json_quote_64bit_integers = 0;
