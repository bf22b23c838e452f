-- The ledger of the last minutes. By minute and worker: what was processed beyond what was attested is
-- unattested, what was attested beyond what was processed is in flight.
WITH entry AS (
    SELECT l.minute, l.worker, l.kind, l.reason, sum(l.n)::bigint AS n
    FROM ledger l
    WHERE l.minute > %(after)s AND l.minute <= %(until)s
    GROUP BY 1, 2, 3, 4
), side AS (
    SELECT minute, worker,
        coalesce(sum(n) FILTER (WHERE kind = 'accepted'), 0)::bigint AS attested,
        coalesce(sum(n) FILTER (WHERE kind = 'counted'), 0)::bigint AS counted,
        coalesce(sum(n) FILTER (WHERE kind = 'duplicate'), 0)::bigint AS duplicate,
        coalesce(sum(n) FILTER (WHERE kind IN ('counted', 'duplicate', 'rejected')), 0)::bigint AS processed
    FROM entry
    GROUP BY 1, 2
), reasons AS (
    SELECT minute, kind, jsonb_object_agg(reason, n) AS counts
    FROM (SELECT minute, kind, reason, sum(n)::bigint AS n FROM entry
          WHERE kind IN ('rejected', 'refused', 'ignored') GROUP BY 1, 2, 3) r
    GROUP BY 1, 2
)
SELECT minute,
    sum(greatest(attested, processed))::bigint AS accepted,
    sum(counted)::bigint AS counted,
    sum(duplicate)::bigint AS duplicate,
    coalesce((SELECT counts FROM reasons r WHERE r.minute = s.minute AND r.kind = 'rejected'), '{}') AS rejected,
    sum(greatest(attested - processed, 0))::bigint AS in_flight,
    coalesce((SELECT counts FROM reasons r WHERE r.minute = s.minute AND r.kind = 'refused'), '{}') AS refused,
    coalesce((SELECT counts FROM reasons r WHERE r.minute = s.minute AND r.kind = 'ignored'), '{}') AS ignored,
    sum(greatest(processed - attested, 0))::bigint AS unattested
FROM side s
GROUP BY minute
ORDER BY minute
