-- How far the log is consumed: every position with the seconds since it moved, and the gaps nobody acknowledged.
SELECT
    (SELECT coalesce(jsonb_agg(jsonb_build_array(
        topic_id, partition, next, greatest(extract(epoch FROM clock_timestamp() - updated_at), 0)
    )), '[]') FROM log_positions) AS positions,
    (SELECT count(*) FROM log_gaps WHERE acknowledged_at IS NULL) AS gaps
