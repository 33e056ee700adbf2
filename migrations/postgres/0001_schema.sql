-- The schema itself is made before the first migration: the table that keeps track of them stands in it too.

-- Who this database is. One row.
CREATE TABLE driftline.database (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    ownership text NOT NULL DEFAULT 'unclaimed' CHECK (ownership IN ('unclaimed', 'claimed', 'awaiting_recovery')),
    generation bigint NOT NULL DEFAULT 1 CHECK (generation > 0),
    bucket_id uuid
);
INSERT INTO driftline.database DEFAULT VALUES;

-- Buckets whose conditional writes were probed and held.
CREATE TABLE driftline.probe (
    bucket_id uuid PRIMARY KEY,
    passed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The lock row of a tenant: it numbers all its streams. Every write updates it, so nothing that changes is indexed, and
-- most of a page is left free: updates stay heap-only.
CREATE TABLE driftline.tenant (
    tenant text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL,
    awaiting_recovery boolean NOT NULL DEFAULT false,
    last_committed_at timestamptz,
    manifests_head bigint NOT NULL DEFAULT 0,
    manifests_chain bytea NOT NULL,
    applies_head bigint NOT NULL DEFAULT 0,
    applies_chain bytea NOT NULL,
    decisions_head bigint NOT NULL DEFAULT 0,
    decisions_chain bytea NOT NULL,
    -- The last `activate` decision: its number, what it activates, and the head that it was made for.
    activation_decision bigint,
    activation_version bigint,
    activation_chain bytea,
    activation_head_chain bytea
) WITH (fillfactor = 30);

-- Entries of streams (0 manifests, 1 applies, 2 decisions), never updated. The canonical bytes are what was hashed: no
-- encoding of the server and no compression stands between them and a reader. Up to a page they stay in the row.
CREATE TABLE driftline.entry (
    tenant text COLLATE "C" NOT NULL,
    stream smallint NOT NULL,
    seq bigint NOT NULL,
    id uuid NOT NULL,
    epoch bigint NOT NULL,
    checksum bytea NOT NULL,
    chain bytea NOT NULL,
    created_at timestamptz NOT NULL,
    committed_at timestamptz NOT NULL,
    created_by text,
    message text,
    -- Of an apply: the version that it names.
    manifest_version bigint,
    content bytea NOT NULL,
    PRIMARY KEY (tenant, stream, seq)
) WITH (toast_tuple_target = 8160);
ALTER TABLE driftline.entry ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE INDEX entry_applies_of ON driftline.entry (tenant, manifest_version, seq) WHERE manifest_version IS NOT NULL;

-- Which entry an idempotency key made. Each stream has its own keys.
CREATE TABLE driftline.idempotency (
    tenant text COLLATE "C" NOT NULL,
    stream smallint NOT NULL,
    key text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    checksum bytea NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant, stream, key)
);
CREATE INDEX idempotency_age ON driftline.idempotency (tenant, at);

-- What is proven to be in a bucket, who works on it, and what keeps it; made with the tenant's row. Apart from the lock
-- row, so that shadowing does not wait for writers, nor they for it. The bucket is the database's, or none while all
-- watermarks are 0: whoever gives the database another one resets all rows, and whoever gives a row its bucket keeps the
-- database's row from changing meanwhile.
CREATE TABLE driftline.shadowing (
    tenant text COLLATE "C" PRIMARY KEY,
    bucket_id uuid,
    manifests_watermark bigint NOT NULL DEFAULT 0,
    applies_watermark bigint NOT NULL DEFAULT 0,
    decisions_watermark bigint NOT NULL DEFAULT 0,
    served_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_owner uuid,
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz,
    last_error text,
    halted text
) WITH (fillfactor = 30);

-- Row-level security, for the owner too. Both settings live for one transaction only.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenant', 'entry', 'idempotency', 'shadowing'] LOOP
        EXECUTE format('ALTER TABLE driftline.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE driftline.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY one_tenant ON driftline.%I USING (tenant = current_setting(''driftline.tenant'', true))', name);
        EXECUTE format(
            'CREATE POLICY all_tenants ON driftline.%I USING (current_setting(''driftline.scope'', true) = ''all'')', name);
    END LOOP;
END
$$;
