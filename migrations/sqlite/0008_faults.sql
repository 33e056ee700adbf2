-- What the last failure of a tenant's shadowing comes to (what may be done about it, and whether a retry can mend it), as JSON,
-- and when that was. It holds the digest of the message in last_error that it belongs to.
ALTER TABLE tenant ADD COLUMN fault TEXT;
ALTER TABLE tenant ADD COLUMN failed_at INTEGER;
