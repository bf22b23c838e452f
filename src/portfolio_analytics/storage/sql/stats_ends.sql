-- The start of the first visit that is active in a period, and the end of the last one; null where no visit
-- lies across that end of the period.
SELECT
    (SELECT min(v.start_time) FROM visits v
     WHERE v.site_id = %(site_id)s AND v.day BETWEEN %(oldest_day)s AND %(first_day)s
         AND v.start_time < %(start)s AND v.end_time >= %(start)s
         AND date_bin('1 hour', v.end_time, 'epoch') >= date_bin('1 hour', %(start)s, 'epoch')),
    (SELECT max(v.end_time) FROM visits v
     WHERE v.site_id = %(site_id)s AND v.day BETWEEN %(oldest_day)s AND %(last_day)s
         AND v.start_time < %(end)s AND v.end_time >= %(end)s
         AND date_bin('1 hour', v.end_time, 'epoch') >= date_bin('1 hour', %(end)s, 'epoch'))
