-- Of rolled-up days: whether a visitor with a persistent id was there on any of them, their closed months, and
-- whether a dimension (null: none) has so many cells on these days that the first values are worth looking for.
SELECT
    EXISTS (
        SELECT FROM rollups r
        WHERE r.site_id = %(site_id)s AND r.dimension = 0
            AND r.day BETWEEN %(first)s AND %(last)s AND r.known_visitors > 0),
    ARRAY(
        SELECT k.month FROM closed_months k
        WHERE k.site_id = %(site_id)s AND k.month BETWEEN %(first)s AND %(last)s ORDER BY k.month),
    EXISTS (
        SELECT FROM rollups r
        WHERE r.site_id = %(site_id)s AND r.dimension = %(dimension)s::smallint
            AND r.day BETWEEN %(first)s AND %(last)s
        OFFSET 5000)
