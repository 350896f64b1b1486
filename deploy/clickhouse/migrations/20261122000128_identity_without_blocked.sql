-- As before, and links and merges with an id that its workspace blocks do not count. Steps are walked over a copy of all
-- edges, made once: reading them anew at each takes two to four times as long. A chain is followed for 500 steps, for the
-- engine would refuse the whole dictionary for one of 1,000.
-- migrate:up
CREATE OR REPLACE DICTIONARY ${database}.identity${on_cluster}
(
    key UInt64,
    actor_key UInt64,
    kind UInt8,
    id String
)
PRIMARY KEY key
SOURCE(CLICKHOUSE(${login}QUERY 'WITH RECURSIVE
    blocked AS (SELECT actor_key FROM ${database}.identity_blocked FINAL WHERE NOT undone),
    merges AS (
        SELECT loser_key AS source, winner_key AS target, toUInt8(winner_kind) AS target_kind, winner_id AS target_id
        FROM ${database}.identity_merges FINAL
        WHERE NOT undone
            AND loser_key NOT IN (SELECT actor_key FROM blocked) AND winner_key NOT IN (SELECT actor_key FROM blocked)),
    links AS (
        SELECT anonymous_key AS source, user_key AS target, user_id AS target_id
        FROM ${database}.identity_links
        WHERE user_key NOT IN (SELECT actor_key FROM blocked) AND anonymous_key NOT IN (SELECT actor_key FROM blocked)
        ORDER BY anonymous_key, first_seen, user_id
        LIMIT 1 BY anonymous_key),
    winner_links AS (
        SELECT anonymous_key AS source, user_key AS target, toUInt8(1) AS target_kind, user_id AS target_id
        FROM ${database}.identity_links
        WHERE anonymous_key IN (SELECT target FROM merges) AND anonymous_key NOT IN (SELECT source FROM merges)
            AND user_key NOT IN (SELECT actor_key FROM blocked) AND anonymous_key NOT IN (SELECT actor_key FROM blocked)
        ORDER BY anonymous_key, first_seen, user_id
        LIMIT 1 BY anonymous_key),
    edges AS (
        SELECT source, target, target_kind, target_id, 0 AS linked FROM merges
        UNION ALL
        SELECT source, target, target_kind, target_id, 1 AS linked FROM winner_links),
    (SELECT groupArray((source, target, toUInt8(linked))) FROM edges) AS known,
    steps AS (SELECT arrayJoin(known) AS step, step.1 AS source, step.2 AS target, step.3 AS linked),
    walks AS (
        SELECT source AS start, target AS node, [(source, linked)] AS path FROM steps
        UNION ALL
        SELECT walks.start, steps.target, arrayPushBack(walks.path, (steps.source, steps.linked))
        FROM walks INNER JOIN steps ON steps.source = walks.node
        WHERE NOT has(walks.path.1, walks.node) AND length(walks.path) < 500),
    ends AS (
        SELECT
            start,
            argMax((node, path), length(path)) AS longest,
            arraySlice(longest.2, indexOf(longest.2.1, longest.1)) AS circle,
            if(has(longest.2.1, longest.1), arraySort(step -> (1 - step.2, step.1), circle)[1].1, longest.1) AS last
        FROM walks
        GROUP BY start),
    resolved AS (
        SELECT ends.start AS start, ends.last AS last, names.kind AS kind, names.id AS id
        FROM ends
        INNER JOIN (SELECT target, any(target_kind) AS kind, any(target_id) AS id FROM edges GROUP BY target) AS names
            ON names.target = ends.last)
SELECT
    links.source AS key,
    if(resolved.start = 0, links.target, resolved.last) AS actor_key,
    if(resolved.start = 0, 1, resolved.kind) AS kind,
    if(resolved.start = 0, links.target_id, resolved.id) AS id
FROM links LEFT JOIN resolved ON resolved.start = links.target
WHERE links.source NOT IN (SELECT start FROM resolved)
UNION ALL
SELECT start, last, kind, id FROM resolved WHERE start != last'))
LAYOUT(HASHED_ARRAY())
LIFETIME(MIN 15 MAX 30);

-- migrate:down
CREATE OR REPLACE DICTIONARY ${database}.identity${on_cluster}
(
    key UInt64,
    actor_key UInt64,
    kind UInt8,
    id String
)
PRIMARY KEY key
SOURCE(CLICKHOUSE(${login}QUERY 'WITH RECURSIVE
    merges AS (
        SELECT loser_key AS source, winner_key AS target, toUInt8(winner_kind) AS target_kind, winner_id AS target_id
        FROM ${database}.identity_merges FINAL
        WHERE NOT undone),
    links AS (
        SELECT anonymous_key AS source, user_key AS target, user_id AS target_id
        FROM ${database}.identity_links
        ORDER BY anonymous_key, first_seen, user_id
        LIMIT 1 BY anonymous_key),
    winner_links AS (
        SELECT anonymous_key AS source, user_key AS target, toUInt8(1) AS target_kind, user_id AS target_id
        FROM ${database}.identity_links
        WHERE anonymous_key IN (SELECT target FROM merges) AND anonymous_key NOT IN (SELECT source FROM merges)
        ORDER BY anonymous_key, first_seen, user_id
        LIMIT 1 BY anonymous_key),
    edges AS (
        SELECT source, target, target_kind, target_id, 0 AS linked FROM merges
        UNION ALL
        SELECT source, target, target_kind, target_id, 1 AS linked FROM winner_links),
    walks AS (
        SELECT source AS start, target AS node, [(source, linked)] AS path FROM edges
        UNION ALL
        SELECT walks.start, edges.target, arrayPushBack(walks.path, (edges.source, edges.linked))
        FROM walks INNER JOIN edges ON edges.source = walks.node
        WHERE NOT has(walks.path.1, walks.node)),
    ends AS (
        SELECT
            start,
            argMax((node, path), length(path)) AS longest,
            arraySlice(longest.2, indexOf(longest.2.1, longest.1)) AS circle,
            if(has(longest.2.1, longest.1), arraySort(step -> (1 - step.2, step.1), circle)[1].1, longest.1) AS last
        FROM walks
        GROUP BY start),
    resolved AS (
        SELECT ends.start AS start, ends.last AS last, names.kind AS kind, names.id AS id
        FROM ends
        INNER JOIN (SELECT target, any(target_kind) AS kind, any(target_id) AS id FROM edges GROUP BY target) AS names
            ON names.target = ends.last)
SELECT
    links.source AS key,
    if(resolved.start = 0, links.target, resolved.last) AS actor_key,
    if(resolved.start = 0, 1, resolved.kind) AS kind,
    if(resolved.start = 0, links.target_id, resolved.id) AS id
FROM links LEFT JOIN resolved ON resolved.start = links.target
WHERE links.source NOT IN (SELECT start FROM resolved)
UNION ALL
SELECT start, last, kind, id FROM resolved WHERE start != last'))
LAYOUT(HASHED_ARRAY())
LIFETIME(MIN 15 MAX 30);
