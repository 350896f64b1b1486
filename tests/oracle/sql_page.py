"""A page of SQL as an analyst writes it: a hundred lines over three tables, of which parsing and checking are timed."""

from __future__ import annotations

PAGE = """\
WITH
    orders AS (
        SELECT
            user_id,
            message_id,
            timestamp AS ordered_at,
            toStartOfWeek(timestamp, 1) AS week,
            properties.price.:Float64 AS price,
            properties.product.sku.:String AS sku,
            row_number() OVER (
                PARTITION BY user_id
                ORDER BY timestamp, message_id
            ) AS nth,
            lagInFrame(timestamp) OVER (
                PARTITION BY user_id
                ORDER BY timestamp, message_id
                ROWS BETWEEN 1 PRECEDING AND CURRENT ROW
            ) AS before
        FROM events_track
        WHERE event IN ('Order Completed', 'Product Viewed')
            AND timestamp >= toDateTime64('2023-01-01 00:00:00', 3)
            AND user_id != ''
    ),
    pages AS (
        SELECT
            user_id,
            context.page.path AS path,
            count() AS views,
            uniqExact(toDate(timestamp)) AS days,
            min(timestamp) AS first_seen
        FROM events_page
        WHERE name = 'Home'
            AND (context.page.path IS NULL OR context.page.path != '/admin')
        GROUP BY user_id, path
        HAVING views > 0
    ),
    plans AS (
        SELECT
            user_id,
            argMax(coalesce(traits.plan.:String, 'none'), timestamp) AS plan
        FROM events_identify
        GROUP BY user_id
    ),
    weekly AS (
        SELECT
            week,
            sku,
            if(nth = 1, 'first', 'repeat') AS kind,
            count() AS orders,
            uniqExact(user_id) AS buyers,
            sum(ifNull(price, 0)) AS revenue,
            avgOrNull(price) AS mean,
            quantilesExactInclusive(0.5, 0.9)(ifNull(price, 0)) AS prices,
            countIf(price > 20) AS dear,
            maxIf(price, nth > 1) AS best_repeat,
            avgIf(
                dateDiff('hour', before, ordered_at),
                nth > 1
            ) AS hours_between
        FROM orders
        WHERE week < toStartOfWeek(toDate('2030-01-01'), 1)
        GROUP BY week, sku, kind
    )
SELECT
    w.week,
    w.sku,
    w.kind,
    w.orders,
    w.buyers,
    round(w.revenue, 2) AS revenue,
    round(w.revenue / nullIf(w.orders, 0), 2) AS per_order,
    arrayMap(x -> round(x, 1), w.prices) AS prices,
    CASE
        WHEN w.revenue >= 100 THEN 'high'
        WHEN w.revenue >= 10 THEN 'middle'
        ELSE 'low'
    END AS class,
    sum(w.revenue) OVER (
        PARTITION BY w.sku, w.kind
        ORDER BY w.week
    ) AS running,
    o.users AS users_of_plan,
    o.paths AS paths
FROM weekly AS w
LEFT JOIN (
    SELECT
        orders.week AS week,
        orders.sku AS sku,
        uniqExactIf(orders.user_id, plans.plan = 'pro') AS users,
        arraySort(groupUniqArray(10)(pages.path)) AS paths
    FROM orders
    LEFT JOIN plans ON plans.user_id = orders.user_id
    LEFT JOIN pages ON pages.user_id = orders.user_id
    GROUP BY week, sku
) AS o ON o.week = w.week AND o.sku = w.sku
WHERE w.orders > 0
    AND w.buyers > 0
    AND w.kind IN (SELECT arrayJoin(['first', 'repeat']))
ORDER BY w.week, w.sku NULLS LAST, w.kind
LIMIT 500
"""
