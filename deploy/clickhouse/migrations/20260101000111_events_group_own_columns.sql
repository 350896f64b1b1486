-- For a table that ingestion made: the columns that are ours. Back: refuses while the table holds events, since the next
-- step back drops it.
-- migrate:up
ALTER TABLE ${database}.events_group${local}${on_cluster}
    ADD COLUMN IF NOT EXISTS traits_null Array(String),
    ADD COLUMN IF NOT EXISTS actor_key UInt64 MATERIALIZED if(
        user_id IN (
            '', 'null', 'NULL', 'Null', 'nil', 'none', 'None', 'undefined', 'anonymous', 'nan', 'NaN',
            '[object Object]', '00000000-0000-0000-0000-000000000000')
        AND anonymous_id IN (
            '', 'null', 'NULL', 'Null', 'nil', 'none', 'None', 'undefined', 'anonymous', 'nan', 'NaN',
            '[object Object]', '00000000-0000-0000-0000-000000000000'),
        0,
        reinterpretAsUInt64(substring(SHA1(concat(UUIDToNum(workspace_id), if(
            user_id IN (
                '', 'null', 'NULL', 'Null', 'nil', 'none', 'None', 'undefined', 'anonymous', 'nan', 'NaN',
                '[object Object]', '00000000-0000-0000-0000-000000000000'),
            concat('a', anonymous_id),
            concat('u', user_id)))), 1, 8))),
    ADD COLUMN IF NOT EXISTS mid UInt64 MATERIALIZED sipHash64(message_id),
    ADD COLUMN IF NOT EXISTS version UInt64 MATERIALIZED toUInt64(9223372036854775807 - toUnixTimestamp64Milli(received_at));

-- migrate:down
SELECT throwIf(count() > 0, 'events_group holds events: empty it before going back further') FROM ${database}.events_group${local};
