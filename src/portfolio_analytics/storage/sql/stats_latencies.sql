-- Latencies by minute of acceptance and bucket.
SELECT l.minute, l.bucket, sum(l.n)::bigint
FROM latencies l
WHERE l.minute > %(after)s AND l.minute <= %(until)s
GROUP BY 1, 2
ORDER BY 1, 2
