-- Rollups by month: a year by page is 12 rows a page, not 365. Whatever changes `rollups` changes them in the
-- same statement, so they are always its sums.
CREATE TABLE rollup_months (
    visitors bigint NOT NULL,       -- a sum of each day's, as all the others
    known_visitors bigint NOT NULL,
    visits bigint NOT NULL,
    bounces bigint NOT NULL,
    pageviews bigint NOT NULL,
    events bigint NOT NULL,
    duration_ms bigint NOT NULL,
    engaged_ms bigint NOT NULL,
    scroll_sum bigint NOT NULL,
    scroll_visits bigint NOT NULL,
    site_id int NOT NULL,
    month date NOT NULL,            -- its first day
    dimension smallint NOT NULL,
    slot smallint NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (site_id, dimension, month, value, slot)
) WITH (fillfactor = 80);

CREATE FUNCTION sum_rollups_inserted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO rollup_months AS m (
        site_id, month, dimension, slot, value, visitors, known_visitors, visits, bounces, pageviews, events,
        duration_ms, engaged_ms, scroll_sum, scroll_visits
    )
    SELECT c.site_id, date_trunc('month', c.day::timestamp)::date, c.dimension, c.slot, c.value,
        sum(c.visitors), sum(c.known_visitors), sum(c.visits), sum(c.bounces), sum(c.pageviews), sum(c.events),
        sum(c.duration_ms), sum(c.engaged_ms), sum(c.scroll_sum), sum(c.scroll_visits)
    FROM now_there c
    GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, 3, 2, 5, 4
    ON CONFLICT (site_id, dimension, month, value, slot) DO UPDATE SET
        visitors = m.visitors + excluded.visitors, known_visitors = m.known_visitors + excluded.known_visitors,
        visits = m.visits + excluded.visits, bounces = m.bounces + excluded.bounces,
        pageviews = m.pageviews + excluded.pageviews, events = m.events + excluded.events,
        duration_ms = m.duration_ms + excluded.duration_ms, engaged_ms = m.engaged_ms + excluded.engaged_ms,
        scroll_sum = m.scroll_sum + excluded.scroll_sum,
        scroll_visits = m.scroll_visits + excluded.scroll_visits;
    RETURN NULL;
END
$$;

CREATE FUNCTION sum_rollups_updated() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO rollup_months AS m (
        site_id, month, dimension, slot, value, visitors, known_visitors, visits, bounces, pageviews, events,
        duration_ms, engaged_ms, scroll_sum, scroll_visits
    )
    SELECT c.site_id, date_trunc('month', c.day::timestamp)::date, c.dimension, c.slot, c.value,
        sum(c.visitors), sum(c.known_visitors), sum(c.visits), sum(c.bounces), sum(c.pageviews), sum(c.events),
        sum(c.duration_ms), sum(c.engaged_ms), sum(c.scroll_sum), sum(c.scroll_visits)
    FROM (
        SELECT site_id, day, dimension, slot, value,
            visitors, known_visitors, visits, bounces, pageviews, events, duration_ms, engaged_ms, scroll_sum,
            scroll_visits FROM now_there
        UNION ALL
        SELECT site_id, day, dimension, slot, value,
            -visitors, -known_visitors, -visits, -bounces, -pageviews, -events, -duration_ms, -engaged_ms,
            -scroll_sum, -scroll_visits FROM was_there
    ) c
    GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, 3, 2, 5, 4
    ON CONFLICT (site_id, dimension, month, value, slot) DO UPDATE SET
        visitors = m.visitors + excluded.visitors, known_visitors = m.known_visitors + excluded.known_visitors,
        visits = m.visits + excluded.visits, bounces = m.bounces + excluded.bounces,
        pageviews = m.pageviews + excluded.pageviews, events = m.events + excluded.events,
        duration_ms = m.duration_ms + excluded.duration_ms, engaged_ms = m.engaged_ms + excluded.engaged_ms,
        scroll_sum = m.scroll_sum + excluded.scroll_sum,
        scroll_visits = m.scroll_visits + excluded.scroll_visits;
    RETURN NULL;
END
$$;

CREATE FUNCTION sum_rollups_deleted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO rollup_months AS m (
        site_id, month, dimension, slot, value, visitors, known_visitors, visits, bounces, pageviews, events,
        duration_ms, engaged_ms, scroll_sum, scroll_visits
    )
    SELECT c.site_id, date_trunc('month', c.day::timestamp)::date, c.dimension, c.slot, c.value,
        sum(c.visitors), sum(c.known_visitors), sum(c.visits), sum(c.bounces), sum(c.pageviews), sum(c.events),
        sum(c.duration_ms), sum(c.engaged_ms), sum(c.scroll_sum), sum(c.scroll_visits)
    FROM (
        SELECT site_id, day, dimension, slot, value,
            -visitors AS visitors, -known_visitors AS known_visitors, -visits AS visits, -bounces AS bounces,
            -pageviews AS pageviews, -events AS events, -duration_ms AS duration_ms, -engaged_ms AS engaged_ms,
            -scroll_sum AS scroll_sum, -scroll_visits AS scroll_visits FROM was_there
    ) c
    GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, 3, 2, 5, 4
    ON CONFLICT (site_id, dimension, month, value, slot) DO UPDATE SET
        visitors = m.visitors + excluded.visitors, known_visitors = m.known_visitors + excluded.known_visitors,
        visits = m.visits + excluded.visits, bounces = m.bounces + excluded.bounces,
        pageviews = m.pageviews + excluded.pageviews, events = m.events + excluded.events,
        duration_ms = m.duration_ms + excluded.duration_ms, engaged_ms = m.engaged_ms + excluded.engaged_ms,
        scroll_sum = m.scroll_sum + excluded.scroll_sum,
        scroll_visits = m.scroll_visits + excluded.scroll_visits;
    DELETE FROM rollup_months m
    WHERE m.site_id IN (SELECT DISTINCT w.site_id FROM was_there w)
        AND NOT EXISTS (
            SELECT FROM rollups r
            WHERE r.site_id = m.site_id AND r.dimension = m.dimension AND r.value = m.value AND r.slot = m.slot
                AND r.day >= m.month AND r.day < m.month + interval '1 month');
    RETURN NULL;
END
$$;

CREATE TRIGGER rollups_inserted AFTER INSERT ON rollups
    REFERENCING NEW TABLE AS now_there FOR EACH STATEMENT EXECUTE FUNCTION sum_rollups_inserted();
CREATE TRIGGER rollups_updated AFTER UPDATE ON rollups
    REFERENCING OLD TABLE AS was_there NEW TABLE AS now_there
    FOR EACH STATEMENT EXECUTE FUNCTION sum_rollups_updated();
CREATE TRIGGER rollups_deleted AFTER DELETE ON rollups
    REFERENCING OLD TABLE AS was_there FOR EACH STATEMENT EXECUTE FUNCTION sum_rollups_deleted();

-- The rollups that are there already; the triggers above hold off whoever would add to them meanwhile.
INSERT INTO rollup_months (
    site_id, month, dimension, slot, value, visitors, known_visitors, visits, bounces, pageviews, events,
    duration_ms, engaged_ms, scroll_sum, scroll_visits
)
SELECT r.site_id, date_trunc('month', r.day::timestamp)::date, r.dimension, r.slot, r.value,
    sum(r.visitors), sum(r.known_visitors), sum(r.visits), sum(r.bounces), sum(r.pageviews), sum(r.events),
    sum(r.duration_ms), sum(r.engaged_ms), sum(r.scroll_sum), sum(r.scroll_visits)
FROM rollups r
GROUP BY 1, 2, 3, 4, 5;

-- The few visits of more than a day: where to look for those that are active in a period and began long before.
CREATE INDEX visitors_long ON visitors (site_id, long_since) WHERE long_since IS NOT NULL;
