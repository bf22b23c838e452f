-- The UTC day on which the oldest visit of more than a day began at any of these sites; null where there is none.
SELECT min(v.long_since) FROM visitors v WHERE v.site_id = ANY (%(site_ids)s::int[]) AND v.long_since IS NOT NULL
