-- The decision that ended a tenant, and its last proof of being restorable from the current bucket.
ALTER TABLE tenant ADD COLUMN retired INTEGER;
ALTER TABLE tenant ADD COLUMN proven_version INTEGER;
ALTER TABLE tenant ADD COLUMN proven_at INTEGER;
