-- The steps of a site's funnel, by its name.
SELECT f.steps FROM funnels f WHERE f.site_id = %(site_id)s AND f.name = %(name)s
