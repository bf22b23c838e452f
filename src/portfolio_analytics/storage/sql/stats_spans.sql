-- What was counted in spans of days (or, where `monthly`, of closed months) of many sites, by the span's key and,
-- where that is wanted, by day. Each span is a look-up in the primary key, of which a join would make a scan.
SELECT s.key, c.day, c.visitors, c.known_visitors, c.visits, c.pageviews
FROM unnest(%(keys)s::int[], %(site_ids)s::int[], %(monthly)s::bool[], %(lows)s::date[], %(highs)s::date[])
    AS s (key, site_id, monthly, low, high)
CROSS JOIN LATERAL (
    SELECT CASE WHEN %(by_day)s THEN r.day END AS day, sum(r.visitors) AS visitors,
        sum(r.known_visitors) AS known_visitors, sum(r.visits) AS visits, sum(r.pageviews) AS pageviews
    FROM rollups r
    WHERE NOT s.monthly AND r.site_id = s.site_id AND r.dimension = 0 AND r.day BETWEEN s.low AND s.high
    GROUP BY 1
    UNION ALL
    SELECT CASE WHEN %(by_day)s THEN m.month END, sum(m.visitors)::bigint, sum(m.known_visitors)::bigint,
        sum(m.visits)::bigint, sum(m.pageviews)::bigint
    FROM rollup_months m
    WHERE s.monthly AND m.site_id = s.site_id AND m.dimension = 0 AND m.month BETWEEN s.low AND s.high
    GROUP BY 1
) c
