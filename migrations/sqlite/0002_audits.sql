-- What audits found, and what there is to tell. It stands apart from what is audited: nothing here refers to a tenant's
-- row, and nothing there depends on this.

-- A tenant as the schedule and the auditors see it. Whoever claims it raises the fence; a result under an older one is
-- refused. The claim is cleared when its result is kept, and not when it expires. `memory` is the auditors' own.
CREATE TABLE audited (
    tenant TEXT NOT NULL PRIMARY KEY,
    enrolled_at INTEGER NOT NULL,
    next_at INTEGER,
    last_success_at INTEGER,
    last_attempt_at INTEGER,
    last_error TEXT,
    failures INTEGER NOT NULL DEFAULT 0,
    stale INTEGER NOT NULL DEFAULT 0 CHECK (stale IN (0, 1)),
    fence INTEGER NOT NULL DEFAULT 0,
    claim_owner BLOB,
    claim_until INTEGER,
    memory TEXT
) STRICT;
CREATE INDEX audited_due ON audited (next_at, tenant);

-- Reports, never updated. The body stands last: what reads only the columns before it does not touch its pages.
CREATE TABLE report (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant TEXT NOT NULL,
    at INTEGER NOT NULL,
    has_drift INTEGER NOT NULL CHECK (has_drift IN (0, 1)),
    differences INTEGER NOT NULL,
    unknown INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX report_of_tenant ON report (tenant, at, id);
CREATE INDEX report_at ON report (at, id);
CREATE INDEX report_drift ON report (at, id) WHERE has_drift;

-- What there is to tell, one row for each receiver. Whoever claims an attempt moves `due_at` to when the next may be made.
CREATE TABLE event (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    receiver TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL,
    delivered_at INTEGER,
    given_up INTEGER NOT NULL DEFAULT 0 CHECK (given_up IN (0, 1)),
    last_error TEXT,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX event_of_tenant ON event (tenant, at, id);
CREATE INDEX event_at ON event (at, id);
CREATE INDEX event_due ON event (at, id) WHERE delivered_at IS NULL AND NOT given_up;
