-- What audits found, and what there is to tell. It stands apart from what is audited: nothing here refers to a tenant's
-- row, and nothing there depends on this.

-- A tenant as the schedule and the auditors see it. Whoever claims it raises the fence; a result under an older one is
-- refused. The claim is cleared when its result is kept, and not when it expires. `memory` is the auditors' own.
CREATE TABLE driftline.audited (
    tenant text COLLATE "C" PRIMARY KEY,
    enrolled_at timestamptz NOT NULL,
    next_at timestamptz,
    last_success_at timestamptz,
    last_attempt_at timestamptz,
    last_error text,
    failures integer NOT NULL DEFAULT 0,
    stale boolean NOT NULL DEFAULT false,
    fence bigint NOT NULL DEFAULT 0,
    claim_owner uuid,
    claim_until timestamptz,
    memory text
) WITH (fillfactor = 50);
CREATE INDEX audited_due ON driftline.audited (next_at, tenant);

-- Reports, never updated.
CREATE TABLE driftline.report (
    id uuid PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    has_drift boolean NOT NULL,
    differences bigint NOT NULL,
    unknown bigint NOT NULL,
    body text NOT NULL
);
CREATE INDEX report_of_tenant ON driftline.report (tenant, at, id);
CREATE INDEX report_at ON driftline.report (at, id);
CREATE INDEX report_drift ON driftline.report (at, id) WHERE has_drift;

-- What there is to tell, one row for each receiver. Whoever claims an attempt moves `due_at` to when the next may be made.
CREATE TABLE driftline.event (
    id uuid PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    receiver text NOT NULL,
    body text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at timestamptz,
    given_up boolean NOT NULL DEFAULT false,
    last_error text
);
CREATE INDEX event_of_tenant ON driftline.event (tenant, at, id);
CREATE INDEX event_at ON driftline.event (at, id);
CREATE INDEX event_due ON driftline.event (at, id) WHERE delivered_at IS NULL AND NOT given_up;

-- Row-level security as on every table with a tenant. Of a comparison with a setting the planner expects that it lets one
-- row of two hundred pass, and would sort the whole table for the first few that are due; of a CASE it expects half.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['audited', 'report', 'event'] LOOP
        EXECUTE format('ALTER TABLE driftline.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE driftline.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY one_tenant ON driftline.%I USING (tenant = current_setting(''driftline.tenant'', true))', name);
        EXECUTE format(
            'CREATE POLICY all_tenants ON driftline.%I USING (
                CASE WHEN current_setting(''driftline.scope'', true) = ''all'' THEN true ELSE false END)', name);
    END LOOP;
END
$$;
