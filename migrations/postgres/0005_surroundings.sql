-- Functions, policies and defaults find the server's own functions and operators, whatever search path a session has, and
-- whatever path one had that made them. What is a plain expression is bound to them here and now; the others bring a path.

-- The active version: the head, unless the last activation was made for this very head.
CREATE OR REPLACE FUNCTION driftline.active_version(head bigint, chain bytea, activation_version bigint, activation_head_chain bytea)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN activation_head_chain = chain AND activation_version <= head THEN activation_version ELSE head END;

-- The chain before a stream's first entry.
CREATE OR REPLACE FUNCTION driftline.genesis(tenant text, stream text)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(convert_to('driftline/v1/' || tenant || '/' || stream, 'UTF8'));

-- The chain after an entry. STABLE like what it is made of, or else it would not be inlined.
CREATE OR REPLACE FUNCTION driftline.link(chain bytea, seq bigint, epoch bigint, committed_at timestamptz, identity bytea)
RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(chain || int8send(seq) || int8send(epoch)
    || int8send((extract(epoch FROM committed_at) * 1000000)::bigint) || identity);

ALTER FUNCTION driftline.append SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION driftline.read SET search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenant', 'entry', 'idempotency', 'shadowing', 'audited', 'report', 'event'] LOOP
        EXECUTE format(
            'ALTER POLICY one_tenant ON driftline.%I USING (tenant = current_setting(''driftline.tenant'', true))', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['tenant', 'entry', 'idempotency', 'shadowing'] LOOP
        EXECUTE format(
            'ALTER POLICY all_tenants ON driftline.%I USING (current_setting(''driftline.scope'', true) = ''all'')', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['audited', 'report', 'event'] LOOP
        EXECUTE format(
            'ALTER POLICY all_tenants ON driftline.%I USING (
                CASE WHEN current_setting(''driftline.scope'', true) = ''all'' THEN true ELSE false END)', name);
    END LOOP;
END
$$;

ALTER TABLE driftline.database ALTER COLUMN id SET DEFAULT gen_random_uuid();
ALTER TABLE driftline.probe ALTER COLUMN passed_at SET DEFAULT clock_timestamp();
ALTER TABLE driftline.shadowing ALTER COLUMN served_at SET DEFAULT clock_timestamp();
ALTER TABLE driftline.event ALTER COLUMN due_at SET DEFAULT clock_timestamp();
