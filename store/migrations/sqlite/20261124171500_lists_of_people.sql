-- +goose Up

-- What somebody owns, and what somebody promised.
CREATE INDEX callbacks_owner ON callbacks (owner) WHERE closed_at IS NULL AND owner <> '';
CREATE INDEX intakes_requested_by ON intakes (requested_by);
