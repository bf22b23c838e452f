-- By site: the months between two days that are kept as sums.
SELECT k.site_id, array_agg(k.month ORDER BY k.month)
FROM closed_months k
WHERE k.site_id = ANY (%(site_ids)s::int[]) AND k.month BETWEEN %(first)s AND %(last)s
GROUP BY k.site_id
