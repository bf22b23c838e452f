-- The same of all days: those from before the first half lack them. Takes a while, in which consumers wait and
-- questions go on; what they replace therefore goes in a transaction of its own (0008).
LOCK TABLE events, visits IN SHARE MODE;
CREATE INDEX events_site_minute_of_all ON events (site_id, date_bin('1 minute', time, 'epoch'));
CREATE INDEX visits_site_end_hour_of_all ON visits (site_id, date_bin('1 hour', end_time, 'epoch'));
