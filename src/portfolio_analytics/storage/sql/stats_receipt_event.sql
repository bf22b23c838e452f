-- An event by its id. `day` is that of a UUIDv7, null where the id does not tell: then every day is asked.
SELECT e.log_partition, e.log_offset, e.accepted_at, e.counted_at
FROM events e
WHERE e.event_id = %(event_id)s
    AND e.site_id = ANY (ARRAY(SELECT s.site_id FROM sites s WHERE %(site)s::text IS NULL OR s.name = %(site)s))
    AND (%(day)s::date IS NULL OR e.day = %(day)s)
ORDER BY e.accepted_at
LIMIT 1
