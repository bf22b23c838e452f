-- The sites of a name (null: all) whose name has `search` in it, in the order of their names. `first_day` is the
-- first local day that has data, where it is wanted.
SELECT s.site_id, s.name, s.time_zone,
    CASE WHEN %(first_days)s THEN
        (SELECT min(r.day) FROM rollups r WHERE r.site_id = s.site_id AND r.dimension = 0) END AS first_day
FROM sites s
WHERE s.deleted_at IS NULL AND (%(name)s::text IS NULL OR s.name = %(name)s) AND strpos(s.name, %(search)s) > 0
ORDER BY s.name COLLATE "C"
