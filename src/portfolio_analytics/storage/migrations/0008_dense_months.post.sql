-- What the indexes of 0007 replace: a moment's work, under a lock that holds questions off. In the order in which
-- these lock, visits first.
LOCK TABLE visits IN ACCESS EXCLUSIVE MODE;
LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
DROP INDEX visits_site_end, visits_site_end_hour, events_site_time, events_site_minute;
ALTER INDEX visits_site_end_hour_of_all RENAME TO visits_site_end_hour;
ALTER INDEX events_site_minute_of_all RENAME TO events_site_minute;
