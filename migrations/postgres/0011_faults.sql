-- What the last failure of a tenant's shadowing comes to (what may be done about it, and whether a retry can mend it), as JSON,
-- and when that was. It holds the digest of the message in last_error that it belongs to: an older build goes on, writes
-- another message there, and reads no new column.
ALTER TABLE driftline.shadowing
    ADD COLUMN fault text,
    ADD COLUMN failed_at timestamptz;
