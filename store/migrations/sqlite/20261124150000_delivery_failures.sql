-- +goose Up

-- When the last try that failed was: tried_at moves on with a success.
ALTER TABLE deliveries ADD COLUMN failed_at text;
UPDATE deliveries SET failed_at = tried_at WHERE code <> '' AND state IN ('trying', 'owed');
DROP INDEX deliveries_failure;
CREATE INDEX deliveries_failure ON deliveries (destination, failed_at) WHERE failed_at IS NOT NULL;
