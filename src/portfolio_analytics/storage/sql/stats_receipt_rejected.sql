-- A record that was rejected, by its event's id and, where that is asked, its place in the log.
SELECT b.partition, b.log_offset, b.accepted_at
FROM bad_rows b
WHERE b.event_id = %(event_id)s
    AND (%(site)s::text IS NULL OR b.site = %(site)s)
    AND (%(partition)s::int IS NULL OR (b.partition = %(partition)s AND b.log_offset = %(offset)s))
ORDER BY b.bad_row_id DESC
LIMIT 1
