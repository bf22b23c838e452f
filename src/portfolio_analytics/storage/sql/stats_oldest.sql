-- The UTC day on which the oldest visit of more than a day began; null where there is none.
SELECT min(v.long_since) FROM visitors v WHERE v.site_id = %(site_id)s AND v.long_since IS NOT NULL
