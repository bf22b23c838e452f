-- Visitors with an event since `since`, a few minutes ago, by site; no row where there are none.
SELECT e.site_id, count(DISTINCT e.visitor)
FROM events e
WHERE e.site_id = ANY (%(site_ids)s::int[]) AND e.time >= %(since)s AND e.time <= %(now)s
    AND date_bin('1 minute', e.time, 'epoch')
        BETWEEN date_bin('1 minute', %(since)s, 'epoch') AND date_bin('1 minute', %(now)s, 'epoch')
    AND e.day BETWEEN %(first_day)s AND %(last_day)s
GROUP BY e.site_id
