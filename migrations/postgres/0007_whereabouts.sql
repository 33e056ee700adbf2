-- Which server, and which timeline of it, a start-up check allowed. What is allowed on one holds for no other: neither for a
-- replica that was promoted, nor for a copy. An older build goes on: it reads no new column and calls no new function.
ALTER TABLE driftline.database
    ADD COLUMN server_system bigint,
    ADD COLUMN server_base bigint,
    ADD COLUMN server_relation bigint,
    ADD COLUMN server_timeline bigint;

-- Where this is: the server's identifier (null where the role may not ask for it), the database in it, this schema's table in
-- that, and the server's timeline. A promotion changes only the last; a dump that is restored, or a template, what is before.
CREATE FUNCTION driftline.server(OUT system bigint, OUT base bigint, OUT relation bigint, OUT timeline bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN
        SELECT c.system_identifier INTO system FROM pg_control_system() c;
    END IF;
    SELECT d.oid::bigint INTO base FROM pg_database d WHERE d.datname = current_database();
    relation := 'driftline.database'::regclass::oid::bigint;
    timeline := ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint;
END
$$;

-- Where this is beside what a check allowed: `here`, `promoted` (another timeline) or `elsewhere` (another server).
CREATE FUNCTION driftline.whereabouts()
RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s record;
    d record;
BEGIN
    SELECT * INTO s FROM driftline.server();
    SELECT * INTO d FROM driftline.database;
    IF d.server_base IS NULL THEN
        RETURN 'here';
    END IF;
    IF d.server_base <> s.base OR d.server_relation <> s.relation OR d.server_system <> s.system THEN
        RETURN 'elsewhere';
    END IF;
    RETURN CASE WHEN d.server_timeline = s.timeline THEN 'here' ELSE 'promoted' END;
END
$$;

-- A server in one text: what a caller may name as the one that it knows to be on.
CREATE FUNCTION driftline.server_name()
RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s record;
BEGIN
    SELECT * INTO s FROM driftline.server();
    RETURN coalesce(s.system, 0)::text || '-' || s.base || '-' || s.relation || '/' || s.timeline;
END
$$;

-- Answers with the first argument where a check allowed writes, or on the very server that is named; fails anywhere else. An
-- argument of a function is there before the function is called: nothing is written before this has had its say.
CREATE FUNCTION driftline.here(p_value text, p_server text)
RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_server IS NOT NULL THEN
        IF p_server = driftline.server_name() THEN
            RETURN p_value;
        END IF;
    ELSIF driftline.whereabouts() = 'here' THEN
        RETURN p_value;
    ELSIF (SELECT d.ownership FROM driftline.database d) = 'unclaimed' THEN
        RETURN p_value;
    END IF;
    RAISE EXCEPTION 'the database is not where it was when it was checked' USING ERRCODE = 'DL001';
END
$$;

-- A database that is there already is where it belongs.
UPDATE driftline.database d
SET server_system = s.system, server_base = s.base, server_relation = s.relation, server_timeline = s.timeline
FROM driftline.server() s;
