-- Of rolled-up days: whether a visitor with a persistent id was there on any of them, and the last day of all.
SELECT
    EXISTS (
        SELECT FROM rollups r
        WHERE r.site_id = %(site_id)s AND r.dimension = 0
            AND r.day BETWEEN %(first)s AND %(last)s AND r.known_visitors > 0),
    (SELECT max(r.day) FROM rollups r WHERE r.site_id = %(site_id)s AND r.dimension = 0)
