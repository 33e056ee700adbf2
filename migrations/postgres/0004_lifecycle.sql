-- The decision that ended a tenant, and its last proof of being restorable from the current bucket. An older build goes on:
-- it reads no new column, and to its calls the functions answer as before, but that they refuse to write for an ended tenant.
ALTER TABLE driftline.tenant ADD COLUMN retired bigint;
ALTER TABLE driftline.shadowing ADD COLUMN proven_version bigint, ADD COLUMN proven_at timestamptz;

-- One write: refuse, or number, stamp and link an entry. One call is one transaction.
CREATE OR REPLACE FUNCTION driftline.append(
    p_tenant text,
    p_stream smallint,
    p_id uuid,
    p_content bytea,
    p_checksum bytea,
    p_identity bytea,
    p_created_at timestamptz,
    p_created_by text,
    p_message text,
    p_manifest_version bigint,
    p_expect_version bigint,
    p_expect_checksum bytea,
    p_expect_chain bytea,
    p_key text,
    p_skip_unchanged boolean,
    p_refers_version bigint,
    p_refers_chain bytea,
    p_activation_version bigint,
    p_activation_chain bytea,
    p_activation_head_chain bytea,
    OUT outcome text,
    OUT seq bigint,
    OUT epoch bigint,
    OUT chain bytea,
    OUT committed_at timestamptz,
    OUT active bigint,
    OUT id uuid,
    OUT checksum bytea,
    OUT created_at timestamptz,
    OUT created_by text,
    OUT message text,
    OUT size bigint
) LANGUAGE plpgsql AS $$
DECLARE
    -- An assignment is cheaper than a statement.
    setting CONSTANT text := set_config('driftline.tenant', p_tenant, true);
    v_tenant record;
    v_database driftline.database;
    v_chain bytea;
BEGIN
    -- The usual write depends on nothing: one update locks, numbers, stamps and links. The clock is read once, and again
    -- when the row has changed while the update waited for it.
    IF p_stream = 0 AND p_key IS NULL AND p_expect_version IS NULL AND p_expect_checksum IS NULL AND p_expect_chain IS NULL
        AND p_refers_version IS NULL AND NOT p_skip_unchanged THEN
        UPDATE driftline.tenant t SET
            manifests_head = t.manifests_head + 1,
            (last_committed_at, manifests_chain) = (
                SELECT s.at, driftline.link(t.manifests_chain, t.manifests_head + 1, t.epoch, s.at, p_identity)
                FROM (SELECT greatest(clock_timestamp(), t.last_committed_at) AS at OFFSET 0) s
            )
        WHERE t.tenant = p_tenant AND NOT t.awaiting_recovery AND t.retired IS NULL
            AND (SELECT d.ownership FROM driftline.database d) <> 'unclaimed'
        RETURNING t.manifests_head, t.epoch, t.manifests_chain, t.last_committed_at
        INTO seq, epoch, chain, committed_at;
        IF FOUND THEN
            -- Whoever held the lock and left the row as it was has cost time that the stamp does not know of.
            IF clock_timestamp() - committed_at > interval '10 milliseconds' THEN
                SELECT e.chain INTO v_chain FROM driftline.entry e
                WHERE e.tenant = p_tenant AND e.stream = 0 AND e.seq = append.seq - 1;
                IF seq = 1 THEN
                    v_chain := driftline.genesis(p_tenant, 'manifests');
                END IF;
                IF v_chain IS NOT NULL THEN
                    committed_at := clock_timestamp();
                    chain := driftline.link(v_chain, seq, epoch, committed_at, p_identity);
                    UPDATE driftline.tenant t
                    SET last_committed_at = append.committed_at, manifests_chain = append.chain
                    WHERE t.tenant = p_tenant;
                END IF;
            END IF;
            INSERT INTO driftline.entry (tenant, stream, seq, id, epoch, checksum, chain, created_at, committed_at,
                created_by, message, content)
            VALUES (p_tenant, 0, seq, p_id, epoch, p_checksum, chain, p_created_at, committed_at, p_created_by, p_message,
                p_content);
            outcome := 'committed';
            active := seq;
            RETURN;
        END IF;
    END IF;

    LOOP
        SELECT t.*, d.ownership INTO v_tenant FROM driftline.tenant t, driftline.database d
        WHERE t.tenant = p_tenant FOR NO KEY UPDATE OF t;
        EXIT WHEN FOUND;
        -- The first entry. The lock keeps the ownership as it is until the tenant is there to be seen.
        SELECT * INTO v_database FROM driftline.database d FOR SHARE;
        IF v_database.ownership <> 'claimed' THEN
            outcome := v_database.ownership;
            RETURN;
        END IF;
        IF p_expect_version <> 0 OR p_expect_checksum IS NOT NULL
            OR p_expect_chain <> driftline.genesis(p_tenant, 'manifests') THEN
            outcome := 'conflict';
            seq := 0;
            chain := driftline.genesis(p_tenant, 'manifests');
            RETURN;
        END IF;
        IF p_refers_version IS NOT NULL THEN
            outcome := 'no_such_version';
            RETURN;
        END IF;
        -- Of several first writers one inserts; the others wait for it here, and find the row above.
        INSERT INTO driftline.tenant (tenant, epoch, manifests_chain, applies_chain, decisions_chain)
        VALUES (p_tenant, v_database.generation, driftline.genesis(p_tenant, 'manifests'),
            driftline.genesis(p_tenant, 'applies'), driftline.genesis(p_tenant, 'decisions'))
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            INSERT INTO driftline.shadowing (tenant) VALUES (p_tenant) ON CONFLICT DO NOTHING;
        END IF;
    END LOOP;

    IF v_tenant.ownership = 'unclaimed' THEN
        outcome := 'unclaimed';
        RETURN;
    END IF;
    IF v_tenant.awaiting_recovery THEN
        outcome := 'awaiting_recovery';
        RETURN;
    END IF;
    -- The canonical bytes of the two decisions: see `retires` in the domain.
    IF v_tenant.retired IS NOT NULL AND NOT (p_stream = 2 AND p_content = convert_to('{"kind":"reinstate"}', 'UTF8')) THEN
        outcome := 'retired';
        RETURN;
    END IF;

    IF p_key IS NOT NULL THEN
        SELECT i.seq, i.checksum INTO seq, checksum
        FROM driftline.idempotency i
        WHERE i.tenant = p_tenant AND i.stream = p_stream AND i.key = p_key
            AND i.at > clock_timestamp() - interval '24 hours';
        IF FOUND THEN
            IF checksum <> p_checksum THEN
                outcome := 'key_reused';
                RETURN;
            END IF;
            outcome := 'replayed';
        END IF;
    END IF;

    IF outcome IS NULL AND (p_expect_version IS NOT NULL OR p_expect_chain IS NOT NULL OR p_expect_checksum IS NOT NULL) THEN
        IF p_expect_checksum IS NOT NULL THEN
            SELECT e.checksum INTO checksum FROM driftline.entry e
            WHERE e.tenant = p_tenant AND e.stream = 0 AND e.seq = v_tenant.manifests_head;
        END IF;
        IF p_expect_version <> v_tenant.manifests_head OR p_expect_chain <> v_tenant.manifests_chain
            OR (p_expect_checksum IS NOT NULL AND p_expect_checksum IS DISTINCT FROM checksum) THEN
            outcome := 'conflict';
            seq := v_tenant.manifests_head;
            chain := v_tenant.manifests_chain;
            SELECT e.checksum INTO checksum FROM driftline.entry e
            WHERE e.tenant = p_tenant AND e.stream = 0 AND e.seq = v_tenant.manifests_head;
            RETURN;
        END IF;
    END IF;

    IF outcome IS NULL AND p_refers_version IS NOT NULL AND NOT EXISTS (
        SELECT FROM driftline.entry e
        WHERE e.tenant = p_tenant AND e.stream = 0 AND e.seq = p_refers_version AND e.chain = p_refers_chain
    ) THEN
        outcome := 'no_such_version';
        RETURN;
    END IF;

    active := driftline.active_version(v_tenant.manifests_head, v_tenant.manifests_chain, v_tenant.activation_version,
        v_tenant.activation_head_chain);

    IF outcome IS NULL AND p_skip_unchanged AND p_stream = 0 AND EXISTS (
        SELECT FROM driftline.entry e
        WHERE e.tenant = p_tenant AND e.stream = 0 AND e.seq = active AND e.checksum = p_checksum
    ) THEN
        outcome := 'unchanged';
        seq := active;
    END IF;

    IF outcome IS NOT NULL THEN
        SELECT e.epoch, e.chain, e.committed_at, e.id, e.checksum, e.created_at, e.created_by, e.message,
            octet_length(e.content)
        INTO epoch, chain, committed_at, id, checksum, created_at, created_by, message, size
        FROM driftline.entry e
        WHERE e.tenant = p_tenant AND e.stream = p_stream AND e.seq = append.seq;
        RETURN;
    END IF;

    outcome := 'committed';
    epoch := v_tenant.epoch;
    committed_at := greatest(clock_timestamp(), v_tenant.last_committed_at);
    CASE p_stream
        WHEN 0 THEN seq := v_tenant.manifests_head + 1; chain := v_tenant.manifests_chain;
        WHEN 1 THEN seq := v_tenant.applies_head + 1; chain := v_tenant.applies_chain;
        WHEN 2 THEN seq := v_tenant.decisions_head + 1; chain := v_tenant.decisions_chain;
    END CASE;
    chain := driftline.link(chain, seq, epoch, committed_at, p_identity);

    IF p_stream = 0 THEN
        UPDATE driftline.tenant t SET last_committed_at = append.committed_at, manifests_head = append.seq,
            manifests_chain = append.chain
        WHERE t.tenant = p_tenant;
        -- An activation names the head that it was made for: the new one is another.
        active := seq;
    ELSIF p_stream = 1 THEN
        UPDATE driftline.tenant t SET last_committed_at = append.committed_at, applies_head = append.seq,
            applies_chain = append.chain
        WHERE t.tenant = p_tenant;
    ELSE
        IF p_activation_version IS NOT NULL THEN
            v_tenant.activation_decision := seq;
            v_tenant.activation_version := p_activation_version;
            v_tenant.activation_chain := p_activation_chain;
            v_tenant.activation_head_chain := p_activation_head_chain;
            active := driftline.active_version(v_tenant.manifests_head, v_tenant.manifests_chain,
                p_activation_version, p_activation_head_chain);
        END IF;
        IF p_content = convert_to('{"kind":"retire"}', 'UTF8') THEN
            v_tenant.retired := seq;
        ELSIF p_content = convert_to('{"kind":"reinstate"}', 'UTF8') THEN
            v_tenant.retired := NULL;
        END IF;
        UPDATE driftline.tenant t SET last_committed_at = append.committed_at, decisions_head = append.seq,
            decisions_chain = append.chain, activation_decision = v_tenant.activation_decision,
            activation_version = v_tenant.activation_version, activation_chain = v_tenant.activation_chain,
            activation_head_chain = v_tenant.activation_head_chain, retired = v_tenant.retired
        WHERE t.tenant = p_tenant;
    END IF;

    INSERT INTO driftline.entry (tenant, stream, seq, id, epoch, checksum, chain, created_at, committed_at, created_by,
        message, manifest_version, content)
    VALUES (p_tenant, p_stream, seq, p_id, epoch, p_checksum, chain, p_created_at, committed_at, p_created_by,
        p_message, p_manifest_version, p_content);

    IF p_key IS NOT NULL THEN
        INSERT INTO driftline.idempotency AS i (tenant, key, stream, seq, checksum, at)
        VALUES (p_tenant, p_key, p_stream, seq, p_checksum, committed_at)
        ON CONFLICT ON CONSTRAINT idempotency_pkey DO UPDATE
        SET seq = excluded.seq, checksum = excluded.checksum, at = excluded.at;
        -- Each keyed write takes a few expired keys away: what is left is bounded by a day's writes.
        DELETE FROM driftline.idempotency i WHERE i.tenant = p_tenant AND (i.stream, i.key) IN (
            SELECT o.stream, o.key FROM driftline.idempotency o
            WHERE o.tenant = p_tenant AND o.at <= clock_timestamp() - interval '24 hours'
            ORDER BY o.at LIMIT 4
        );
    END IF;
END
$$;

-- One entry with what is known about it; without a number, the active manifest.
DROP FUNCTION driftline.read(text, smallint, bigint);
CREATE FUNCTION driftline.read(p_tenant text, p_stream smallint, p_seq bigint)
RETURNS TABLE (
    seq bigint,
    id uuid,
    epoch bigint,
    checksum bytea,
    chain bytea,
    created_at timestamptz,
    committed_at timestamptz,
    created_by text,
    message text,
    content bytea,
    active bigint,
    watermark bigint,
    retired boolean
) LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    -- An assignment is cheaper than a statement.
    setting CONSTANT text := set_config('driftline.tenant', p_tenant, true);
BEGIN
    RETURN QUERY
    SELECT e.seq, e.id, e.epoch, e.checksum, e.chain, e.created_at, e.committed_at, e.created_by, e.message, e.content,
        driftline.active_version(t.manifests_head, t.manifests_chain, t.activation_version, t.activation_head_chain),
        coalesce(CASE p_stream WHEN 0 THEN s.manifests_watermark WHEN 1 THEN s.applies_watermark
            ELSE s.decisions_watermark END, 0),
        t.retired IS NOT NULL
    FROM driftline.tenant t
    -- CASE, and not COALESCE: only of the former is it known to leak nothing, and only so may the whole key be looked up
    -- before row-level security has had its say.
    JOIN driftline.entry e ON e.tenant = p_tenant AND e.stream = p_stream AND e.seq = CASE WHEN p_seq IS NULL THEN
        driftline.active_version(t.manifests_head, t.manifests_chain, t.activation_version, t.activation_head_chain)
        ELSE p_seq END
    LEFT JOIN driftline.shadowing s ON s.tenant = p_tenant
    WHERE t.tenant = p_tenant;
END
$$;
