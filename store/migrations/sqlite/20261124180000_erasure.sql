-- +goose Up

-- That the customer of a callback was erased (R26): when, by whom, on what ground, and after which entry of its timeline.
ALTER TABLE intakes ADD COLUMN erased_at text;
ALTER TABLE intakes ADD COLUMN erased_by text NOT NULL DEFAULT '';
ALTER TABLE intakes ADD COLUMN erased_for text NOT NULL DEFAULT '';
ALTER TABLE intakes ADD COLUMN erased_after integer NOT NULL DEFAULT 0;

-- A keyed digest of the source, by which a connector still knows a ticket that it has dealt with.
ALTER TABLE intakes ADD COLUMN erased_source text NOT NULL DEFAULT '';
CREATE INDEX intakes_erased_source ON intakes (erased_source) WHERE erased_source <> '';

-- Words that are taken out of the index are gone from it at once, and not only when it is next merged.
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
