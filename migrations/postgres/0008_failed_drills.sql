-- The newest drill of a tenant, if it did not prove that it is restorable, and whether it proved that it is not. An older build
-- goes on: it reads no new column.
ALTER TABLE driftline.shadowing
    ADD COLUMN drill_failed_at timestamptz,
    ADD COLUMN drill_failure text,
    ADD COLUMN drill_refuted boolean NOT NULL DEFAULT false;
