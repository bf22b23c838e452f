-- Funnels of a site, beside its goals: 2 to 8 steps that visitors do one after the other.
CREATE TABLE funnels (
    site_id int NOT NULL REFERENCES sites ON DELETE CASCADE ON UPDATE CASCADE,
    name text NOT NULL,
    steps jsonb NOT NULL,       -- as storage/funnels.py has them, in their order
    PRIMARY KEY (site_id, name),
    CHECK (jsonb_array_length(steps) BETWEEN 2 AND 8)
);
