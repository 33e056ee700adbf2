-- Which file a start-up check allowed: a copy of it is another one. A database that is there already is where it belongs.
ALTER TABLE database ADD COLUMN server TEXT;
