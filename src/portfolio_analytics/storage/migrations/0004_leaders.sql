-- The busiest values of a day or month, found without reading all of them. A cell's magnitude is 0 below 16
-- visitors and one more at each doubling, so that it, and with it the index, seldom changes: other updates stay
-- within their page (HOT). Never null, and not declared so: consumers make temporary tables like this one, which
-- take a NOT NULL along and the expression not.
ALTER TABLE rollups ADD COLUMN magnitude smallint GENERATED ALWAYS AS (
    width_bucket(visitors, ARRAY[
        16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288,
        1048576, 2097152, 4194304, 8388608, 16777216, 33554432, 67108864, 134217728, 268435456, 536870912,
        1073741824])) STORED;
ALTER TABLE rollup_months ADD COLUMN magnitude smallint GENERATED ALWAYS AS (
    width_bucket(visitors, ARRAY[
        16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288,
        1048576, 2097152, 4194304, 8388608, 16777216, 33554432, 67108864, 134217728, 268435456, 536870912,
        1073741824, 2147483648, 4294967296, 8589934592, 17179869184, 34359738368]::bigint[])) STORED;

CREATE INDEX rollups_leaders ON rollups (site_id, dimension, day, magnitude DESC) WHERE magnitude > 0;
CREATE INDEX rollup_months_leaders ON rollup_months (site_id, dimension, month, magnitude DESC)
    WHERE magnitude > 0;
