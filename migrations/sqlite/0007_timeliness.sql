-- Whether the live state of a report was of a time that counts: timely, stale or future. Null where that is not known: no live
-- state was seen, or the report is older than this column.
ALTER TABLE report ADD COLUMN timeliness TEXT;
