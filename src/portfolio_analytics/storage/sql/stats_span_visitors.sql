-- Distinct visitors (where `known_only`, those with a persistent id) of spans of time of many sites, by the span's key
-- and the number of the bucket. A span is the instants at which its buckets begin, and its end. A visit is in all
-- buckets from its first event to its last: without a pause of more than 30 minutes, it has events in all of them.
-- `start` is that of the first span: of a value that is known beforehand, the planner sees that the index is of use.
WITH span AS MATERIALIZED (
    SELECT s.key, s.site_id, s.starts::timestamptz[] AS starts, s.until
    FROM unnest(%(keys)s::int[], %(site_ids)s::int[], %(starts)s::text[], %(untils)s::timestamptz[])
        AS s (key, site_id, starts, until)
), present AS (
    SELECT DISTINCT s.key, n.bucket, v.known, v.visitor
    FROM span s
    CROSS JOIN LATERAL (
        SELECT v.known, v.visitor, greatest(width_bucket(v.start_time, s.starts), 1) AS first,
            width_bucket(v.end_time, s.starts) AS last
        FROM visits v
        WHERE v.site_id = s.site_id AND v.day BETWEEN %(oldest_day)s AND %(last_day)s
            AND v.start_time < s.until AND v.end_time >= s.starts[1]
            AND date_bin('1 hour', v.end_time, 'epoch') >= date_bin('1 hour', %(start)s, 'epoch')
            AND (v.known OR NOT %(known_only)s)
        OFFSET 0
    ) v
    CROSS JOIN LATERAL generate_series(v.first, v.last) AS n (bucket)
)
SELECT p.key, p.bucket, count(*) FROM present p GROUP BY p.key, p.bucket
