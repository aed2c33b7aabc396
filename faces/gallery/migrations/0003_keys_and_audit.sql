-- Keys of tenants, and the log of who changed what.

CREATE TABLE api_keys (
    key_id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name text NOT NULL,
    -- How the key begins: by this it is found, then compared as a whole.
    prefix text NOT NULL UNIQUE,
    -- SHA-256 of the key in hex; the key itself is nowhere.
    sha256 text NOT NULL CHECK (char_length(sha256) = 64),
    scopes text[] NOT NULL,
    requests_per_minute int CHECK (requests_per_minute > 0),
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant, key_id DESC);

-- Token buckets of the limits. Not logged: written with each request, and after a crash
-- all buckets may well be full.
CREATE UNLOGGED TABLE key_buckets (
    key_id uuid PRIMARY KEY REFERENCES api_keys ON DELETE CASCADE,
    tokens double precision NOT NULL,
    filled_at timestamptz NOT NULL
);

-- How many tokens a bucket has gained by `moment`, at `rate` a minute.
CREATE FUNCTION refill(bucket key_buckets, rate int, moment timestamptz)
    RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT rate / 60.0 * greatest(0, extract(epoch FROM moment - bucket.filled_at))
$$;

-- Written in the transaction of what it tells of; never changed. No foreign keys: it tells
-- of what is gone.
CREATE TABLE audit_log (
    entry_id uuid PRIMARY KEY,
    tenant text NOT NULL,
    recorded_at timestamptz NOT NULL,
    key_id text NOT NULL,
    action text NOT NULL,
    collection text,
    target text,
    counts jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_by_tenant ON audit_log (tenant, entry_id DESC);
