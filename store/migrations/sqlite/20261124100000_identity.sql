-- +goose Up

-- People, as the file, the sign-in and administrators know them. pinned: the attributes that an administrator has set,
-- which neither of the others then changes. subject: whom at the identity provider this person signs in as.
ALTER TABLE staff ADD COLUMN active integer NOT NULL DEFAULT 1;
ALTER TABLE staff ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE staff ADD COLUMN origin text NOT NULL DEFAULT 'file';
ALTER TABLE staff ADD COLUMN pinned text NOT NULL DEFAULT '[]';
ALTER TABLE staff ADD COLUMN subject text NOT NULL DEFAULT '';
CREATE UNIQUE INDEX staff_subject ON staff (subject) WHERE subject <> '';

-- Browsers that are signed in, or about to be: staff_id is then empty. id is a hash of the token in the cookie.
CREATE TABLE sessions (
    id         text PRIMARY KEY,
    staff_id   text NOT NULL,
    data       blob NOT NULL,
    expires_at text
) STRICT;
CREATE INDEX sessions_staff ON sessions (staff_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Keys of systems. hash is SHA-256 of the secret, which is nowhere kept.
CREATE TABLE api_keys (
    id           text PRIMARY KEY,
    name         text NOT NULL,
    scopes       text NOT NULL,
    hash         blob NOT NULL,
    created_at   text,
    created_by   text NOT NULL,
    expires_at   text,
    last_used_at text,
    revoked_at   text,
    revoked_by   text NOT NULL
) STRICT;
