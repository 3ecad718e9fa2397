-- +goose Up

-- Originals: what came of bringing events to other systems. One row for each event and destination that was tried.
-- Kept, never derived (R25): state is trying, owed, delivered or waived.

CREATE TABLE deliveries (
    operation_id text COLLATE "C" PRIMARY KEY,
    destination  text NOT NULL,
    callback_id  text COLLATE "C" NOT NULL,
    seq          bigint NOT NULL,
    type         text NOT NULL,
    state        text NOT NULL,
    tries        integer NOT NULL,
    code         text NOT NULL,
    detail       text NOT NULL,
    first_at     timestamptz(3) NOT NULL,
    tried_at     timestamptz(3) NOT NULL,
    next_at      timestamptz(3),
    settled_at   timestamptz(3)
);
CREATE INDEX deliveries_callback ON deliveries (callback_id, seq);
CREATE INDEX deliveries_owed ON deliveries (first_at, operation_id) WHERE state = 'owed';
CREATE INDEX deliveries_log ON deliveries (tried_at, operation_id);
CREATE INDEX deliveries_success ON deliveries (destination, settled_at) WHERE state = 'delivered';
CREATE INDEX deliveries_failure ON deliveries (destination, tried_at) WHERE code <> '';

-- What connectors remember: whose task is whose, how far a poll has come.
CREATE TABLE connector_memory (
    connector  text NOT NULL,
    key        text COLLATE "C" NOT NULL,
    value      text NOT NULL,
    updated_at timestamptz(3) NOT NULL,
    PRIMARY KEY (connector, key)
);

-- What came in and was not understood, as it came; replayed_at is when it was understood after all.
CREATE TABLE inbound_messages (
    id          text COLLATE "C" PRIMARY KEY,
    connector   text NOT NULL,
    received_at timestamptz(3) NOT NULL,
    reason      text NOT NULL,
    media       text NOT NULL,
    body        bytea NOT NULL,
    tries       integer NOT NULL,
    replayed_at timestamptz(3)
);
CREATE INDEX inbound_messages_waiting ON inbound_messages (received_at, id) WHERE replayed_at IS NULL;
CREATE INDEX inbound_messages_received ON inbound_messages (received_at, id);

-- System outages (R23): what they affect and what to tell customers is here alone.
CREATE TABLE outages (
    id          text COLLATE "C" PRIMARY KEY,
    queue       text NOT NULL,
    lob         text NOT NULL,
    source      text NOT NULL,
    words       text NOT NULL,
    end_words   text NOT NULL,
    declared_by text NOT NULL,
    declared_at timestamptz(3) NOT NULL,
    ended_by    text NOT NULL,
    ended_at    timestamptz(3)
);
CREATE INDEX outages_declared ON outages (declared_at, id);
CREATE INDEX outages_active ON outages (declared_at, id) WHERE ended_at IS NULL;

-- Who does what only one process may do at a time.
CREATE TABLE leases (
    name   text PRIMARY KEY,
    holder text NOT NULL,
    until  timestamptz(3) NOT NULL
);

-- The outage that a callback is linked to.
ALTER TABLE callbacks ADD COLUMN outage text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX callbacks_outage ON callbacks (outage, id) WHERE closed_at IS NULL AND outage <> '';
