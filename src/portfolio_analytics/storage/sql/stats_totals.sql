-- Events ever counted, by type. Null parameters: all sites, from the beginning, to the end.
SELECT t.type, sum(t.n)::bigint
FROM event_totals t
WHERE (%(site_id)s::int IS NULL OR t.site_id = %(site_id)s)
    AND (%(from)s::date IS NULL OR t.day >= %(from)s)
    AND (%(to)s::date IS NULL OR t.day <= %(to)s)
GROUP BY t.type
HAVING sum(t.n) <> 0
ORDER BY sum(t.n) DESC, t.type
