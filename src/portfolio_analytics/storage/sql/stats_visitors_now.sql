-- Visitors with an event since `since`, a few minutes ago.
SELECT count(DISTINCT e.visitor)
FROM events e
WHERE e.site_id = %(site_id)s AND e.time >= %(since)s AND e.time <= %(now)s
    AND e.day BETWEEN %(first_day)s AND %(last_day)s
