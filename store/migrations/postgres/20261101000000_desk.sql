-- +goose Up

-- Originals: what was asked and said. Kept and backed up, never derived (R25).

CREATE TABLE intakes (
    callback_id        text COLLATE "C" PRIMARY KEY,
    policy             text NOT NULL,
    policy_hash        text NOT NULL,
    customer_ref       text NOT NULL,
    customer_name      text NOT NULL,
    customer_phone     text NOT NULL,
    customer_email     text NOT NULL,
    customer_time_zone text NOT NULL,
    reason             text NOT NULL,
    source_system      text NOT NULL,
    source_ref         text NOT NULL,
    source_url         text NOT NULL,
    lob                text NOT NULL,
    transfer_tier      text NOT NULL,
    transfer_outcome   text NOT NULL,
    fields             json NOT NULL,
    parent             text NOT NULL,
    requested_by       text NOT NULL,
    requested_at       timestamptz(3),
    scheduled_for      timestamptz(3)
);
CREATE INDEX intakes_customer_ref ON intakes (customer_ref) WHERE customer_ref <> '';
CREATE INDEX intakes_customer_phone ON intakes (customer_phone) WHERE customer_phone <> '';
CREATE INDEX intakes_source ON intakes (source_system, source_ref) WHERE source_system <> '';

-- seq is that of the first event that names the text; until there is one it is staged, and shown to nobody.
CREATE TABLE texts (
    id          text COLLATE "C" PRIMARY KEY,
    callback_id text COLLATE "C" NOT NULL,
    errand_id   text COLLATE "C" NOT NULL,
    kind        text NOT NULL,
    author      text NOT NULL,
    body        text NOT NULL,
    created_at  timestamptz(3) NOT NULL,
    seq         bigint
);
CREATE INDEX texts_callback ON texts (callback_id, seq);
CREATE INDEX texts_staged ON texts (errand_id, created_at) WHERE seq IS NULL;

CREATE TABLE policies (
    hash   text COLLATE "C" PRIMARY KEY,
    policy json NOT NULL
);

CREATE TABLE histories (
    callback_id text COLLATE "C" NOT NULL,
    run_id      text COLLATE "C" NOT NULL,
    closed_at   timestamptz(3) NOT NULL,
    history     bytea NOT NULL,
    PRIMARY KEY (callback_id, run_id)
);

CREATE TABLE settings (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- Commands on their way through the engine.

CREATE TABLE errands (
    id              text COLLATE "C" PRIMARY KEY,
    principal       text NOT NULL,
    path            text NOT NULL,
    idempotency_key text NOT NULL,
    digest          text NOT NULL,
    callback_id     text COLLATE "C" NOT NULL,
    command         text NOT NULL,
    created_at      timestamptz(3) NOT NULL,
    lease_until     timestamptz(3),
    answered_at     timestamptz(3),
    answer_status   integer NOT NULL DEFAULT 0,
    answer_location text NOT NULL DEFAULT '',
    answer_etag     text NOT NULL DEFAULT '',
    answer_body     bytea
);
CREATE INDEX errands_open ON errands (created_at, id) WHERE answered_at IS NULL;
CREATE INDEX errands_answered ON errands (answered_at) WHERE answered_at IS NOT NULL;

-- One row for each source of a callback that is open, or about to be (R14).
CREATE TABLE open_sources (
    policy        text NOT NULL,
    source_system text NOT NULL,
    source_ref    text NOT NULL,
    callback_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (policy, source_system, source_ref)
);
CREATE UNIQUE INDEX open_sources_callback ON open_sources (callback_id);

-- Projections: dropped and derived again from the histories, they come out the same (R25).

-- ahead is 0 where the customer called in again and it is queued, else 1; due_order is due_at, or the end of time where
-- there is none: lists by due_at are in the order (ahead, due_order, id). next_at is when the clock will act by itself.
CREATE TABLE callbacks (
    id           text COLLATE "C" PRIMARY KEY,
    version      bigint NOT NULL,
    status       text NOT NULL,
    tier         text NOT NULL,
    queue        text NOT NULL,
    policy       text NOT NULL,
    owner        text NOT NULL,
    assignee     text NOT NULL,
    requested_at timestamptz(3) NOT NULL,
    due_at       timestamptz(3),
    ahead        smallint NOT NULL,
    due_order    timestamptz(3) NOT NULL,
    next_at      timestamptz(3),
    overdue      boolean NOT NULL,
    closed_at    timestamptz(3),
    state        json NOT NULL
);
CREATE INDEX callbacks_due ON callbacks (ahead, due_order, id);
CREATE INDEX callbacks_open_due ON callbacks (ahead, due_order, id) WHERE closed_at IS NULL;
CREATE INDEX callbacks_requested ON callbacks (requested_at, id);
CREATE INDEX callbacks_assignee ON callbacks (assignee) WHERE closed_at IS NULL AND assignee <> '';
CREATE INDEX callbacks_next ON callbacks (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX callbacks_closed ON callbacks (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE tags (
    tag         text NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tag, callback_id)
);
CREATE INDEX tags_callback ON tags (callback_id);

CREATE TABLE timeline (
    callback_id text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    type        text NOT NULL,
    at          timestamptz(3) NOT NULL,
    actor       text NOT NULL,
    tier        text NOT NULL,
    rule        text NOT NULL,
    text_id     text COLLATE "C",
    data        json NOT NULL,
    PRIMARY KEY (callback_id, seq)
);

CREATE TABLE promises (
    callback_id text COLLATE "C" NOT NULL,
    tier_index  integer NOT NULL,
    tier        text NOT NULL,
    queue       text NOT NULL,
    policy      text NOT NULL,
    made_at     timestamptz(3) NOT NULL,
    due_at      timestamptz(3),
    result      text NOT NULL,
    result_at   timestamptz(3),
    late_by     text NOT NULL,
    PRIMARY KEY (callback_id, tier_index)
);
CREATE INDEX promises_made ON promises (made_at);

-- The words that may be searched for, lower-cased: a row for the intake and one for each note.
CREATE TABLE search (
    callback_id text COLLATE "C" NOT NULL,
    words       tsvector NOT NULL
);
CREATE INDEX search_callback ON search (callback_id);
CREATE INDEX search_words ON search USING gin (words);

-- Numbers drawn by a transaction become visible in another order than they were drawn in. So id says in which order rows
-- were written, and seq, which is in commit order, is given afterwards, to rows that can be seen, one batch at a time.
CREATE TABLE feed (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq         bigint,
    callback_id text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    state       json NOT NULL,
    at          timestamptz(3) NOT NULL
);
CREATE UNIQUE INDEX feed_seq ON feed (seq) WHERE seq IS NOT NULL;
CREATE INDEX feed_unnumbered ON feed (id) WHERE seq IS NULL;

-- People.

CREATE TABLE staff (
    id         text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    tier       text NOT NULL,
    rank       integer NOT NULL,
    capacity   integer NOT NULL,
    reports_to text NOT NULL,
    shift      json,
    shift_name text NOT NULL,
    identities json NOT NULL,
    roles      json NOT NULL
);

CREATE TABLE staff_queues (
    staff_id text COLLATE "C" NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    queue    text NOT NULL,
    position integer NOT NULL,
    PRIMARY KEY (staff_id, queue)
);
CREATE INDEX staff_queues_queue ON staff_queues (queue, staff_id);

-- state is what the person said; it lapses at lapses_at, and reads busy until reserved_until.
CREATE TABLE presence (
    staff_id       text COLLATE "C" PRIMARY KEY REFERENCES staff (id) ON DELETE CASCADE,
    state          text NOT NULL,
    lapses_at      timestamptz(3),
    reserved_until timestamptz(3)
);

CREATE TABLE reservations (
    id          text COLLATE "C" PRIMARY KEY,
    staff_id    text COLLATE "C" NOT NULL,
    tier        text NOT NULL,
    queue       text NOT NULL,
    reserved_by text NOT NULL,
    expires_at  timestamptz(3) NOT NULL,
    used_at     timestamptz(3)
);
CREATE INDEX reservations_expiry ON reservations (expires_at);

-- The ledger of draws (R21), seq in the order in which those of one queue were decided. settled: the callback has moved
-- on since, so that its own row says who has it.
CREATE TABLE draws (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          text COLLATE "C" NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    queue       text NOT NULL,
    tier        text NOT NULL,
    method      text NOT NULL,
    avoid       text NOT NULL,
    at          timestamptz(3) NOT NULL,
    candidates  json NOT NULL,
    drawn       text COLLATE "C" NOT NULL,
    settled     boolean NOT NULL
);
CREATE UNIQUE INDEX draws_id ON draws (id);
CREATE INDEX draws_queue ON draws (queue, at);
CREATE INDEX draws_drawn ON draws (queue, drawn, seq);
CREATE INDEX draws_unsettled ON draws (drawn, callback_id) WHERE NOT settled;

-- Callbacks that could not be drawn for: tried again when somebody of the queue comes free.
CREATE TABLE draw_waits (
    callback_id text COLLATE "C" PRIMARY KEY,
    queue       text NOT NULL
);
CREATE INDEX draw_waits_queue ON draw_waits (queue);
