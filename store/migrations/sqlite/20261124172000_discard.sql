-- +goose Up

-- What came in and was declined by a person: by whom, when and why. Its body is emptied then.
ALTER TABLE inbound_messages ADD COLUMN discarded_at text;
ALTER TABLE inbound_messages ADD COLUMN discarded_by text NOT NULL DEFAULT '';
ALTER TABLE inbound_messages ADD COLUMN discard_reason text NOT NULL DEFAULT '';
