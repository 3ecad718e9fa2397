-- +goose Up

-- The errand that uses a reservation: no other one can.
ALTER TABLE reservations ADD COLUMN errand_id text NOT NULL DEFAULT '';
CREATE INDEX reservations_errand ON reservations (errand_id) WHERE errand_id <> '';
