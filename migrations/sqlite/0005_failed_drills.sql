-- The newest drill of a tenant, if it did not prove that it is restorable, and whether it proved that it is not.
ALTER TABLE tenant ADD COLUMN drill_failed_at INTEGER;
ALTER TABLE tenant ADD COLUMN drill_failure TEXT;
ALTER TABLE tenant ADD COLUMN drill_refuted INTEGER NOT NULL DEFAULT 0 CHECK (drill_refuted IN (0, 1));
