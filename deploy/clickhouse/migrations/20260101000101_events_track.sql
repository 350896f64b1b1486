-- Track events. The contract with ingestion: services/kit/event_schema.py. Of several rows of one message the earliest
-- received wins: `version` falls as received_at grows. `actor_key`: the person on the row (services/kit/identity.py).
-- migrate:up
CREATE TABLE IF NOT EXISTS ${database}.events_track${local}${on_cluster}
(
    workspace_id UUID,
    message_id String,
    user_id String,
    anonymous_id String,
    timestamp DateTime64(3, 'UTC'),
    received_at DateTime64(3, 'UTC'),
    event LowCardinality(String),
    properties JSON(max_dynamic_paths = 64),
    context JSON(max_dynamic_paths = 64,
        app.name Nullable(String), app.version Nullable(String), campaign.content Nullable(String),
        campaign.medium Nullable(String), campaign.name Nullable(String), campaign.source Nullable(String),
        campaign.term Nullable(String), device.id Nullable(String), device.manufacturer Nullable(String),
        device.model Nullable(String), device.name Nullable(String), device.type Nullable(String),
        ip Nullable(String), library.name Nullable(String), library.version Nullable(String),
        locale Nullable(String), os.name Nullable(String), os.version Nullable(String),
        page.path Nullable(String), page.referrer Nullable(String), page.search Nullable(String),
        page.title Nullable(String), page.url Nullable(String), timezone Nullable(String),
        userAgent Nullable(String)),
    actor_key UInt64 MATERIALIZED if(
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
    mid UInt64 MATERIALIZED sipHash64(message_id),
    version UInt64 MATERIALIZED toUInt64(9223372036854775807 - toUnixTimestamp64Milli(received_at))
)
ENGINE = ${replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (workspace_id, event, actor_key, timestamp, mid)
SETTINGS
    enable_block_number_column = 1,
    min_age_to_force_merge_seconds = 3600,
    min_age_to_force_merge_on_partition_only = 1;

-- migrate:down
DROP TABLE IF EXISTS ${database}.events_track${local}${on_cluster};
