"""Queries as analysts write them, over the four event tables: each must mean what the engine means by it."""

from __future__ import annotations

from tests.oracle.sql_page import PAGE

QUERIES = [
    "SELECT `table`, count(), uniqExact(actor) FROM events GROUP BY ALL ORDER BY ALL",
    "SELECT sum(properties.price.:Float64), count(properties.price), max(context.page.path) FROM events",
    "SELECT `table`, event, name, group_id, traits.plan, traits.plan.:String, properties.product.sku FROM events "
    "ORDER BY timestamp, message_id",
    "SELECT e.event, p.context.page.path FROM events AS e JOIN events_page AS p ON e.actor = p.actor "
    "ORDER BY e.timestamp, e.message_id, p.message_id",
    "SELECT user_id, groupArray(kind) FROM (SELECT user_id, if(event != '', event, name) AS kind FROM events ORDER BY "
    "timestamp, message_id) GROUP BY user_id ORDER BY user_id",
    "SELECT event, count() AS n FROM events_track GROUP BY event ORDER BY n DESC, event",
    "SELECT toDate(timestamp) AS day, uniqExact(user_id) AS users FROM events_track GROUP BY day ORDER BY day",
    "SELECT toStartOfHour(timestamp) AS h, countIf(event = 'Order Completed') FROM events_track GROUP BY h ORDER BY h",
    "SELECT user_id, event, row_number() OVER (PARTITION BY user_id ORDER BY timestamp, message_id) AS n "
    "FROM events_track ORDER BY user_id, n",
    "SELECT user_id, timestamp, lagInFrame(timestamp, 1) OVER (PARTITION BY user_id ORDER BY timestamp, "
    "message_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS before FROM events_track "
    "ORDER BY user_id, timestamp, message_id",
    "SELECT user_id, sum(1) OVER w AS running FROM events_track WINDOW w AS (PARTITION BY user_id ORDER "
    "BY timestamp, message_id ROWS UNBOUNDED PRECEDING) ORDER BY user_id, running",
    "SELECT user_id, event FROM events_track QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY "
    "timestamp, message_id) = 1 ORDER BY user_id",
    "SELECT quantiles(0.5, 0.9)(toFloat64OrZero(toString(properties.price))) FROM events_track",
    "SELECT quantileExactInclusive(0.25)(properties.price::Float64) FROM events_track WHERE "
    "properties.price IS NOT NULL",
    "SELECT median(toFloat64OrZero(toString(properties.price))), quantileTDigest(0.5)(1) FROM events_track",
    "SELECT event, sumIf(toFloat64OrZero(toString(properties.price)), user_id != '') AS s FROM "
    "events_track GROUP BY event ORDER BY s DESC, event",
    "SELECT uniqExactMerge(s) FROM (SELECT event, uniqExactState(user_id) AS s FROM events_track GROUP BY event)",
    "SELECT event, uniqExactIf(user_id, properties.price::Nullable(Float64) > 10) FROM events_track GROUP"
    " BY event ORDER BY event",
    "SELECT avgOrNullIf(toFloat64OrZero(toString(properties.price)), event = 'None') FROM events_track",
    "SELECT sumMap(map(event, 1)) FROM events_track",
    "SELECT argMax(event, (timestamp, message_id)), argMin(event, (timestamp, message_id)) FROM events_track",
    "SELECT user_id, arraySort(groupArray(event)) AS es FROM events_track GROUP BY user_id ORDER BY user_id",
    "SELECT arrayJoin(splitByChar(' ', event)) AS word, count() FROM events_track GROUP BY word ORDER BY word",
    "SELECT e, n FROM (SELECT groupArray(event) AS es FROM events_track) ARRAY JOIN "
    "arrayDistinct(arraySort(es)) AS e, arrayEnumerate(arrayDistinct(es)) AS n ORDER BY e",
    "SELECT user_id, tag FROM events_track LEFT ARRAY JOIN CAST(properties.tags AS Array(String)) AS tag "
    "ORDER BY user_id, timestamp, message_id, tag",
    "SELECT properties.product.sku::String AS sku, count() FROM events_track GROUP BY sku ORDER BY sku",
    "SELECT properties.product.sku.:String AS sku, properties.price.:Float64 AS p FROM events_track ORDER"
    " BY timestamp, message_id",
    "SELECT properties.items[].sku AS skus FROM events_track ORDER BY timestamp, message_id",
    "SELECT properties.^product AS product FROM events_track ORDER BY timestamp, message_id",
    "SELECT context.page.path AS path, count() FROM events_page GROUP BY path ORDER BY path",
    "SELECT JSONAllPaths(properties) AS paths FROM events_track ORDER BY timestamp, message_id LIMIT 5",
    "SELECT arraySort(groupUniqArrayArray(JSONAllPaths(properties))) FROM events_track",
    "SELECT t.user_id, t.timestamp, p.name FROM events_track AS t ASOF LEFT JOIN events_page AS p ON "
    "t.user_id = p.user_id AND t.timestamp >= p.timestamp ORDER BY t.user_id, t.timestamp, t.message_id",
    "SELECT t.user_id, count() FROM events_track AS t INNER JOIN events_identify AS i USING (user_id) "
    "GROUP BY t.user_id ORDER BY t.user_id",
    "SELECT user_id FROM events_track AS t ANY LEFT JOIN events_identify AS i USING (user_id) ORDER BY "
    "user_id, t.message_id",
    "SELECT DISTINCT t.user_id FROM events_track t SEMI JOIN events_page p ON t.user_id = p.user_id ORDER BY t.user_id",
    "SELECT DISTINCT user_id FROM events_track t ANTI JOIN events_page p ON t.user_id = p.user_id ORDER BY user_id",
    "SELECT a.event, b.event, count() FROM events_track a, events_track b WHERE a.user_id = b.user_id AND"
    " a.timestamp < b.timestamp GROUP BY ALL ORDER BY ALL",
    "SELECT t.event, i.traits.plan FROM events_track t FULL JOIN events_identify i ON t.user_id = "
    "i.user_id ORDER BY t.event, t.timestamp, t.message_id, i.message_id",
    "WITH daily AS (SELECT toDate(timestamp) AS d, count() AS n FROM events_track GROUP BY d), total AS "
    "(SELECT sum(n) AS t FROM daily) SELECT d, n, n / (SELECT t FROM total) AS share FROM daily ORDER BY "
    "d",
    "WITH (SELECT max(timestamp) FROM events_track) AS last SELECT count() FROM events_track WHERE "
    "timestamp > last - INTERVAL 1 HOUR",
    "WITH 5 AS five, five * 2 AS ten SELECT ten, count() FROM events_track GROUP BY ten",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r",
    "SELECT toDate(timestamp) AS d, count() FROM events_track GROUP BY d ORDER BY d WITH FILL",
    "SELECT toDate(timestamp) AS d, count() AS n FROM events_track GROUP BY d ORDER BY d WITH FILL FROM "
    "toDate('2024-03-01') TO toDate('2024-03-20') STEP 2 INTERPOLATE (n AS n + 1)",
    "SELECT user_id, event FROM events_track ORDER BY user_id, timestamp, message_id LIMIT 2 BY user_id",
    "SELECT user_id, event FROM events_track ORDER BY user_id, timestamp, message_id LIMIT 1 BY user_id LIMIT 2",
    "SELECT user_id, event FROM events_track ORDER BY user_id, timestamp, message_id LIMIT 1, 2 BY "
    "user_id LIMIT 3 OFFSET 1",
    "SELECT user_id, count() AS n FROM events_track GROUP BY user_id ORDER BY n DESC LIMIT 1 WITH TIES",
    "SELECT user_id, (SELECT count() FROM events_page AS p WHERE p.user_id = t.user_id) AS pages FROM "
    "(SELECT DISTINCT user_id FROM events_track) AS t ORDER BY user_id",
    "SELECT event FROM events_track AS t WHERE EXISTS (SELECT 1 FROM events_page AS p WHERE p.user_id = "
    "t.user_id) ORDER BY timestamp, message_id",
    "SELECT count() FROM events_track WHERE user_id IN (SELECT user_id FROM events_identify WHERE traits.plan = 'pro')",
    "SELECT count() FROM events_track WHERE (user_id, event) NOT IN (SELECT user_id, 'Order Completed' "
    "FROM events_page)",
    "SELECT count() FROM events_track WHERE event IN ('Order Completed', 'Product Viewed') AND user_id NOT IN ('u1')",
    "SELECT arrayMap(x -> upper(x), groupUniqArray(event)) AS u, length(u) FROM events_track GROUP BY "
    "user_id ORDER BY length(u), arraySort(u) LIMIT 0",
    "SELECT arraySort(arrayFilter((x, y) -> y > 1, arraySort(groupArray(event)) AS es, arrayEnumerate(es))) "
    "FROM events_track",
    "SELECT arrayReduce('sum', [1, 2, 3]), arrayFold((acc, x) -> acc + x, [1, 2, 3], toInt64(0)), "
    "arrayZip([1], ['a'])[1].2",
    "SELECT tuple(event, user_id) AS t, t.1, tupleElement(t, 2), (1, 'x').2, [10, 20, 30][-1], map('a', "
    "1)['a'] FROM events_track ORDER BY timestamp, message_id",
    "SELECT event, grouping(event) AS g, count() FROM events_track GROUP BY ROLLUP(event) ORDER BY g, event",
    "SELECT event, user_id, count() FROM events_track GROUP BY GROUPING SETS ((event), (user_id), ()) ORDER BY ALL",
    "SELECT event, user_id, count() FROM events_track GROUP BY event, user_id WITH CUBE ORDER BY ALL",
    "SELECT event, count() FROM events_track GROUP BY event WITH ROLLUP ORDER BY ALL",
    "SELECT DISTINCT ON (user_id) user_id, event FROM events_track ORDER BY user_id, timestamp, message_id",
    "SELECT n FROM (SELECT event AS n FROM events_track UNION ALL SELECT name FROM events_page) ORDER BY n",
    "SELECT u FROM (SELECT user_id AS u FROM events_track INTERSECT SELECT user_id FROM events_page) ORDER BY u",
    "SELECT u FROM (SELECT user_id AS u FROM events_track EXCEPT SELECT user_id FROM events_page) ORDER BY u",
    "SELECT n FROM (SELECT 1 AS n UNION ALL SELECT 2 EXCEPT SELECT 1 UNION DISTINCT SELECT 3) ORDER BY n",
    "SELECT CASE WHEN event LIKE 'Order%' THEN 'order' WHEN event ILIKE 'product%' THEN 'product' ELSE "
    "event END AS k, CASE user_id WHEN 'u1' THEN 1 ELSE 0 END AS f, count() FROM events_track GROUP BY "
    "ALL ORDER BY ALL",
    "SELECT if(event = 'x', 1, 2), multiIf(event = 'y', 'a', user_id = 'u1', 'b', 'c') AS m, event = 'x' "
    "? 1 : 0 FROM events_track ORDER BY m, timestamp, message_id",
    "SELECT windowFunnel(86400)(toDateTime(timestamp), event = 'Product Viewed', event = 'Order "
    "Completed') AS level, user_id FROM events_track GROUP BY user_id ORDER BY user_id",
    "SELECT retention(event = 'Product Viewed', event = 'Order Completed'), user_id FROM events_track "
    "GROUP BY user_id ORDER BY user_id",
    "SELECT sequenceMatch('(?1).*(?2)')(toDateTime(timestamp), event = 'Product Viewed', event = 'Order "
    "Completed') AS m, user_id FROM events_track GROUP BY user_id ORDER BY user_id",
    "SELECT dateDiff('minute', min(timestamp), max(timestamp)), date_trunc('day', max(timestamp)), "
    "toStartOfInterval(min(timestamp), INTERVAL 15 MINUTE), formatDateTime(min(timestamp), '%Y-%m-%d'), "
    "extract(HOUR FROM min(timestamp)), toISOWeek(min(timestamp)), toMonday(min(timestamp)), "
    "toDayOfWeek(min(timestamp), 1) FROM events_track",
    "SELECT timestamp + INTERVAL 1 DAY - INTERVAL '2' HOUR, toTimezone(timestamp, 'America/New_York'), "
    "timestamp::DateTime('Europe/Berlin') FROM events_track ORDER BY timestamp, message_id",
    "SELECT replaceRegexpAll(event, '(\\\\w+) (\\\\w+)', '\\\\2 \\\\1'), match(event, '^O\\\\w+'), extract(event, "
    "'\\\\s(.*)$'), splitByRegexp('\\\\s', event), lower(event) || '!', substring(event, 2, 3), "
    "position(event, 'r') FROM events_track ORDER BY timestamp, message_id",
    "SELECT coalesce(nullIf(user_id, ''), anonymous_id) AS who, "
    "ifNull(properties.price::Nullable(Float64), 0) AS p FROM events_track ORDER BY timestamp, message_id",
    "SELECT topK(2)(event), groupUniqArray(3)(user_id) = groupUniqArray(3)(user_id), any(user_id) != 'zz'"
    " FROM events_track",
    "SELECT cityHash64(event) % 7 AS b, sipHash64(user_id), hex(MD5(event)), toTypeName(b) FROM "
    "events_track ORDER BY timestamp, message_id",
    "SELECT * EXCEPT (properties, context, received_at) FROM events_track ORDER BY timestamp, message_id",
    "SELECT * REPLACE (upper(event) AS event) FROM (SELECT event, user_id, timestamp, message_id FROM "
    "events_track) ORDER BY timestamp, message_id",
    "SELECT COLUMNS('^(event|user_id)$') FROM events_track ORDER BY timestamp, message_id",
    "SELECT user_id, count(*) FILTER (WHERE event = 'Order Completed') AS orders, count(DISTINCT event) "
    "FROM events_track GROUP BY user_id HAVING orders > 0 ORDER BY user_id",
    "SELECT number, count() FROM numbers(3) AS n LEFT JOIN events_track AS t ON n.number = "
    "length(t.user_id) GROUP BY number ORDER BY number",
    "SELECT actor.kind AS kind, uniqExact(actor) AS people FROM events_track GROUP BY kind ORDER BY kind",
    "SELECT actor, actor.1, min(timestamp) FROM events_track GROUP BY actor ORDER BY actor",
    "SELECT a.actor.id AS who, count() FROM events_track AS a JOIN events_page AS b ON a.actor = b.actor "
    "GROUP BY who ORDER BY who",
    "SELECT event FROM events_track FINAL PREWHERE event != 'x' WHERE user_id != '' ORDER BY timestamp, message_id",
    "FROM events_track SELECT event, count() GROUP BY event ORDER BY event",
    "SELECT 1e3, 0x1F, -5 % 3, 7 DIV 2, 2 * (3 + 4), NOT 1, 1 = 1 AND 2 > 1 OR 0, 5 BETWEEN 1 AND 9, NULL"
    " IS NULL, 1 <=> NULL, 'it''s', 'tab\\there', '😀', [1, 2] || [3]",
    "SELECT CAST(1 AS Decimal(10, 2)), '2024-01-01'::Date + 1, CAST('a', 'Enum8(''a'' = 1)'), CAST([1] AS"
    " Array(String)), CAST(tuple(1, 'x') AS Tuple(n UInt8, s String)).s, toDecimal64(1.5, 3)",
    "SELECT user_id, maxIf(timestamp, event = 'Order Completed') AS last, last - min(timestamp) AS span "
    "FROM events_track GROUP BY user_id ORDER BY user_id",
    "SELECT exponentialMovingAverage(0.5)(toFloat64OrZero(toString(properties.price)), "
    "toUnixTimestamp(timestamp)) > -1, simpleLinearRegression(1, 2), stddevPop(length(event)), "
    "corr(length(event), length(user_id)) FROM events_track",
    "SELECT sum(x) FROM (SELECT arrayJoin([1, 2, 3]) AS x, event FROM events_track WHERE event = 'Order Completed')",
    "SELECT first_value(event) OVER (PARTITION BY user_id ORDER BY timestamp, message_id) AS f, "
    "dense_rank() OVER (ORDER BY user_id) AS r, ntile(2) OVER (PARTITION BY 1 ORDER BY timestamp, "
    "message_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS t FROM events_track ORDER BY"
    " user_id, timestamp, message_id",
    "WITH readers AS (SELECT user_id FROM events_page WHERE name = 'Home') SELECT event, count() FROM events_track "
    "WHERE user_id IN readers GROUP BY event ORDER BY event",
    "WITH seen AS (SELECT user_id AS who, anonymous_id FROM events_page UNION ALL SELECT 'u1', 'a1') SELECT event, "
    "(user_id, anonymous_id) IN seen AS s, user_id NOT IN (SELECT who FROM seen) FROM events_track "
    "ORDER BY timestamp, message_id",
    "WITH buyers AS (SELECT DISTINCT user_id FROM events_track WHERE event = 'Order Completed'), "
    "homes AS (SELECT user_id, count() AS n FROM events_page WHERE user_id IN buyers GROUP BY user_id) "
    "SELECT user_id, n, user_id GLOBAL NOT IN buyers FROM homes ORDER BY user_id",
    "WITH buyers AS (SELECT user_id FROM events_track WHERE event = 'Order Completed') "
    "SELECT countIf(user_id IN buyers), countIf(user_id NOT IN (buyers)), "
    "arrayMap(x -> x IN buyers, ['u1', 'zz']) FROM events_page",
    "WITH ('Order Completed', 'Signed Up') AS names, ['u1', 'u2'] AS users SELECT event IN names, "
    "user_id NOT IN users, count() FROM events_track GROUP BY ALL ORDER BY ALL",
    "SELECT arrayMap(y -> arrayFilter(x -> x IN (SELECT user_id FROM events_page), [y, 'u1']), ['u2', 'zz']), "
    "arrayCount((x, y) -> x IN (SELECT user_id FROM events_track) AND y = 1, ['u1', 'zz'], [1, 1]), "
    "arrayExists(x -> x NOT IN (SELECT user_id FROM events_page), [user_id]) FROM events_track ORDER BY timestamp, "
    "message_id",
    PAGE,
]
"""Statements that end in one order: rows are compared as they come."""
