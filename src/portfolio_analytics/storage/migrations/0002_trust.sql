-- Trust: what a site takes, who may ask, and what was done by whom.

ALTER TABLE sites
    ADD COLUMN host_names text[] NOT NULL DEFAULT '{}',         -- whose pages may send events; empty: any
    ADD COLUMN excluded_addresses text[] NOT NULL DEFAULT '{}', -- networks, as the owner wrote them
    ADD COLUMN excluded_paths text[] NOT NULL DEFAULT '{}',     -- * stands for any run of characters
    ADD COLUMN counts_from timestamptz,                         -- records accepted before are no longer taken
    ADD COLUMN deleted_at timestamptz,                          -- the name is kept, so that a backlog does not bring it back
    ADD COLUMN rebuild_wanted_at timestamptz;                   -- the time zone changed after rows were rolled up

-- A site that is reset gets another site_id, so that nothing a consumer remembers of the old one is taken
-- for the new; what belongs to the site follows.
ALTER TABLE goals
    DROP CONSTRAINT goals_site_id_fkey,
    ADD FOREIGN KEY (site_id) REFERENCES sites ON DELETE CASCADE ON UPDATE CASCADE;

-- Names that a site had before: records in the log, and pages that were not changed yet, still carry them.
CREATE TABLE site_aliases (
    name text PRIMARY KEY,
    site_id int NOT NULL REFERENCES sites ON DELETE CASCADE ON UPDATE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A token is random, so one SHA-256 of it is enough. `site_id` NULL: for all sites.
CREATE TABLE tokens (
    token_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id int REFERENCES sites ON DELETE CASCADE ON UPDATE CASCADE,
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    scopes text[] NOT NULL
        CHECK (scopes <@ ARRAY['ingest', 'import', 'read', 'admin'] AND cardinality(scopes) > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    last_used_at timestamptz    -- to the minute
);
CREATE UNIQUE INDEX tokens_live_name ON tokens (name) WHERE revoked_at IS NULL;

-- Links that show one site's statistics to whoever has them.
CREATE TABLE public_links (
    link_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id int NOT NULL REFERENCES sites ON DELETE CASCADE ON UPDATE CASCADE,
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE UNIQUE INDEX public_links_live_name ON public_links (site_id, name) WHERE revoked_at IS NULL;

-- Sign-ins of browsers. `token_id` NULL: signed in with ADMIN_TOKEN, whose digest then keys the hash,
-- so that another ADMIN_TOKEN ends the session.
CREATE TABLE sessions (
    session_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_id int REFERENCES tokens ON DELETE CASCADE,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Links that sign a browser in once, as ADMIN_TOKEN would; keyed like its sessions.
CREATE TABLE signin_codes (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    expires_at timestamptz NOT NULL
);

-- Administrative acts. `actor` is a token's name, ADMIN_TOKEN or 'command line'. Holds no address.
CREATE TABLE audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id int,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    site text,                  -- its name at that time
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_site ON audit_log (site_id, audit_id);
