-- When a bad row was published to the dead-letter topic; null where it was not, or there is no such topic.
ALTER TABLE bad_rows ADD COLUMN published_at timestamptz;
CREATE INDEX bad_rows_unpublished ON bad_rows (bad_row_id) WHERE published_at IS NULL;
