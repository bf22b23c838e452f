-- The next offset that will be consumed of a partition of the topic in use; null: nothing was consumed yet.
SELECT p.next
FROM log_positions p
WHERE p.partition = %(partition)s
ORDER BY p.updated_at DESC
LIMIT 1
