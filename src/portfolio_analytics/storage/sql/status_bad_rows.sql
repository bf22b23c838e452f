-- Bad rows that wait for someone.
SELECT count(*) FROM bad_rows WHERE retried_at IS NULL
