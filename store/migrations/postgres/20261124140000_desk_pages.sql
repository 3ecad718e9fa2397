-- +goose Up

-- What a person wants to see again: the filters of a list under a name. Nothing of a customer is in it.
CREATE TABLE list_views (
    staff_id text NOT NULL,
    name     text COLLATE "C" NOT NULL,
    query    text NOT NULL,
    PRIMARY KEY (staff_id, name)
);

-- Reports ask when a customer was first reached, and how each attempt went.
CREATE INDEX timeline_contacted ON timeline (callback_id, at) WHERE type = 'contacted';
