-- Months that are over are closed: from then on readers take them from their sums (consumer/rollups/months.py).
CREATE TABLE closed_months (
    site_id int NOT NULL,
    month date NOT NULL,            -- its first day
    PRIMARY KEY (site_id, month)
);

INSERT INTO closed_months (site_id, month)
SELECT DISTINCT site_id, month FROM rollup_months
WHERE dimension = 0 AND month + interval '1 month 8 days' < now();
