-- A site by its name or a former one, with its goals and the first local day that has data.
SELECT s.site_id, s.name, s.time_zone,
    (SELECT min(r.day) FROM rollups r WHERE r.site_id = s.site_id AND r.dimension = 0) AS first_day,
    coalesce(
        (SELECT jsonb_agg(jsonb_build_array(g.name, g.event_type, g.page_pattern) ORDER BY g.name)
         FROM goals g WHERE g.site_id = s.site_id),
        '[]') AS goals
FROM sites s
WHERE s.deleted_at IS NULL
    AND (s.name = %(name)s OR s.site_id = (SELECT a.site_id FROM site_aliases a WHERE a.name = %(name)s))
