-- Times are microseconds since 1970, digests and identifiers raw bytes.

-- Who this database is. One row, written by the migration that creates it.
CREATE TABLE database (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    id BLOB NOT NULL CHECK (length(id) = 16),
    ownership TEXT NOT NULL DEFAULT 'unclaimed' CHECK (ownership IN ('unclaimed', 'claimed', 'awaiting_recovery')),
    generation INTEGER NOT NULL DEFAULT 1 CHECK (generation > 0),
    bucket_id BLOB
) STRICT;

-- Buckets whose conditional writes were probed and held.
CREATE TABLE probe (
    bucket_id BLOB PRIMARY KEY,
    passed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The row of a tenant: it numbers all its streams, and says how their shadowing stands. The watermarks are those of the
-- database's current bucket.
CREATE TABLE tenant (
    tenant TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    awaiting_recovery INTEGER NOT NULL DEFAULT 0 CHECK (awaiting_recovery IN (0, 1)),
    last_committed_at INTEGER,
    manifests_head INTEGER NOT NULL,
    manifests_chain BLOB NOT NULL,
    applies_head INTEGER NOT NULL,
    applies_chain BLOB NOT NULL,
    decisions_head INTEGER NOT NULL,
    decisions_chain BLOB NOT NULL,
    -- The last `activate` decision: its number, what it activates, and the head that it was made for.
    activation_decision INTEGER,
    activation_version INTEGER,
    activation_chain BLOB,
    activation_head_chain BLOB,
    manifests_watermark INTEGER NOT NULL DEFAULT 0,
    applies_watermark INTEGER NOT NULL DEFAULT 0,
    decisions_watermark INTEGER NOT NULL DEFAULT 0,
    lease_owner BLOB,
    lease_until INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_at INTEGER,
    last_error TEXT,
    halted TEXT
) STRICT, WITHOUT ROWID;

-- Entries of streams (0 manifests, 1 applies, 2 decisions), never updated. The content stands last: what reads only the
-- columns before it does not touch its pages.
CREATE TABLE entry (
    tenant TEXT NOT NULL,
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    id BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    chain BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    created_by TEXT,
    message TEXT,
    -- Of an apply: the version that it names.
    manifest_version INTEGER,
    content BLOB NOT NULL,
    PRIMARY KEY (tenant, stream, seq)
) STRICT;
CREATE INDEX entry_committed_at ON entry (tenant, stream, committed_at, seq);
CREATE INDEX entry_applies_of ON entry (tenant, manifest_version, seq) WHERE manifest_version IS NOT NULL;

-- Which entry an idempotency key made. Each stream has its own keys.
CREATE TABLE idempotency (
    tenant TEXT NOT NULL,
    stream INTEGER NOT NULL,
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, stream, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (used_at);
