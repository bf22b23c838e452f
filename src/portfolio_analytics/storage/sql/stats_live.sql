-- What goes on at one site or (site_id null) at all: visitors of the last 5 minutes, visitors and page views by
-- minute since `since`, the latest events, latencies by bucket. Times are Unix milliseconds.
WITH recent AS MATERIALIZED (
    SELECT e.event_id, e.site_id, e.time, e.actor, e.visitor, e.type, e.page_id, e.client_id
    FROM events e
    WHERE e.time >= %(since)s AND e.time <= %(now)s
        AND date_bin('1 minute', e.time, 'epoch')
            BETWEEN date_bin('1 minute', %(since)s, 'epoch') AND date_bin('1 minute', %(now)s, 'epoch')
        AND e.day BETWEEN %(first_day)s AND %(last_day)s
        AND (%(site_id)s::int IS NULL OR e.site_id = %(site_id)s)
), latest AS (
    SELECT * FROM recent ORDER BY time DESC, event_id LIMIT %(latest)s
)
SELECT
    (SELECT count(DISTINCT (site_id, visitor)) FROM recent WHERE time > %(now)s::timestamptz - interval '5 minutes'),
    (SELECT coalesce(jsonb_object_agg(minute, jsonb_build_array(visitors, pageviews)), '{}') FROM (
        SELECT (extract(epoch FROM date_trunc('minute', time)) * 1000)::bigint AS minute,
            count(DISTINCT (site_id, visitor)) AS visitors,
            count(*) FILTER (WHERE type = 'page_view') AS pageviews
        FROM recent GROUP BY 1) m),
    (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'id', l.event_id, 'site', s.name, 'time', (extract(epoch FROM l.time) * 1000)::bigint, 'type', l.type,
        'page', p.path, 'source', nullif(o.source, ''), 'country', c.country,
        'browser', c.browser, 'device', c.device)
        ORDER BY l.time DESC, l.event_id), '[]')
     FROM latest l
     JOIN sites s ON s.site_id = l.site_id
     LEFT JOIN pages p ON p.site_id = l.site_id AND p.page_id = l.page_id
     LEFT JOIN clients c ON c.site_id = l.site_id AND c.client_id = l.client_id
     -- Visits that began before yesterday are not looked for: a day more is a partition more to plan for.
     LEFT JOIN LATERAL (
        SELECT v.origin_id FROM visits v
        WHERE v.site_id = l.site_id AND v.actor = l.actor AND l.time BETWEEN v.start_time AND v.end_time
            AND v.day BETWEEN (%(since)s::timestamptz AT TIME ZONE 'UTC')::date - 1
                AND (%(now)s::timestamptz AT TIME ZONE 'UTC')::date) v ON true
     LEFT JOIN origins o ON o.site_id = l.site_id AND o.origin_id = v.origin_id),
    (SELECT coalesce(jsonb_object_agg(bucket, n), '{}') FROM (
        SELECT bucket, sum(n)::bigint AS n FROM latencies
        WHERE minute > %(now)s::timestamptz - interval '5 minutes' AND minute <= %(now)s GROUP BY 1) b)
