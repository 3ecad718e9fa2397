-- The whole schema, as the migrations make it. Written by go test ./store -run Schema -update; do not edit.
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
CREATE TABLE callbacks (
    id           text PRIMARY KEY,
    version      integer NOT NULL,
    status       text NOT NULL,
    tier         text NOT NULL,
    queue        text NOT NULL,
    policy       text NOT NULL,
    owner        text NOT NULL,
    assignee     text NOT NULL,
    requested_at text NOT NULL,
    due_at       text,
    ahead        integer NOT NULL,
    due_order    text NOT NULL,
    next_at      text,
    overdue      integer NOT NULL,
    closed_at    text,
    state        text NOT NULL
, outage text NOT NULL DEFAULT '') STRICT;
CREATE INDEX callbacks_assignee ON callbacks (assignee) WHERE closed_at IS NULL AND assignee <> '';
CREATE INDEX callbacks_closed ON callbacks (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX callbacks_due ON callbacks (ahead, due_order, id);
CREATE INDEX callbacks_next ON callbacks (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX callbacks_open_due ON callbacks (ahead, due_order, id) WHERE closed_at IS NULL;
CREATE INDEX callbacks_outage ON callbacks (outage, id) WHERE closed_at IS NULL AND outage <> '';
CREATE INDEX callbacks_owner ON callbacks (owner) WHERE closed_at IS NULL AND owner <> '';
CREATE INDEX callbacks_requested ON callbacks (requested_at, id);
CREATE TABLE connector_memory (
    connector  text NOT NULL,
    key        text NOT NULL,
    value      text NOT NULL,
    updated_at text NOT NULL,
    PRIMARY KEY (connector, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (
    operation_id text PRIMARY KEY,
    destination  text NOT NULL,
    callback_id  text NOT NULL,
    seq          integer NOT NULL,
    type         text NOT NULL,
    state        text NOT NULL,
    tries        integer NOT NULL,
    code         text NOT NULL,
    detail       text NOT NULL,
    first_at     text NOT NULL,
    tried_at     text NOT NULL,
    next_at      text,
    settled_at   text
, failed_at text) STRICT;
CREATE INDEX deliveries_callback ON deliveries (callback_id, seq);
CREATE INDEX deliveries_failure ON deliveries (destination, failed_at) WHERE failed_at IS NOT NULL;
CREATE INDEX deliveries_log ON deliveries (tried_at, operation_id);
CREATE INDEX deliveries_owed ON deliveries (first_at, operation_id) WHERE state = 'owed';
CREATE INDEX deliveries_success ON deliveries (destination, settled_at) WHERE state = 'delivered';
CREATE TABLE draw_waits (
    callback_id text PRIMARY KEY,
    queue       text NOT NULL
) STRICT;
CREATE INDEX draw_waits_queue ON draw_waits (queue);
CREATE TABLE draws (
    seq         integer PRIMARY KEY AUTOINCREMENT,
    id          text NOT NULL,
    callback_id text NOT NULL,
    version     integer NOT NULL,
    queue       text NOT NULL,
    tier        text NOT NULL,
    method      text NOT NULL,
    avoid       text NOT NULL,
    at          text NOT NULL,
    candidates  text NOT NULL,
    drawn       text NOT NULL,
    settled     integer NOT NULL
) STRICT;
CREATE INDEX draws_drawn ON draws (queue, drawn, seq);
CREATE UNIQUE INDEX draws_id ON draws (id);
CREATE INDEX draws_queue ON draws (queue, at);
CREATE INDEX draws_unsettled ON draws (drawn, callback_id) WHERE NOT settled;
CREATE TABLE errands (
    id              text PRIMARY KEY,
    principal       text NOT NULL,
    path            text NOT NULL,
    idempotency_key text NOT NULL,
    digest          text NOT NULL,
    callback_id     text NOT NULL,
    command         text NOT NULL,
    created_at      text NOT NULL,
    lease_until     text,
    answered_at     text,
    answer_status   integer NOT NULL DEFAULT 0,
    answer_location text NOT NULL DEFAULT '',
    answer_etag     text NOT NULL DEFAULT '',
    answer_body     blob
) STRICT;
CREATE INDEX errands_answered ON errands (answered_at) WHERE answered_at IS NOT NULL;
CREATE INDEX errands_open ON errands (created_at, id) WHERE answered_at IS NULL;
CREATE TABLE feed (
    seq         integer PRIMARY KEY AUTOINCREMENT,
    callback_id text NOT NULL,
    version     integer NOT NULL,
    state       text NOT NULL,
    at          text NOT NULL
) STRICT;
CREATE TABLE histories (
    callback_id text NOT NULL,
    run_id      text NOT NULL,
    closed_at   text NOT NULL,
    history     blob NOT NULL,
    PRIMARY KEY (callback_id, run_id)
) STRICT;
CREATE TABLE inbound_messages (
    id          text PRIMARY KEY,
    connector   text NOT NULL,
    received_at text NOT NULL,
    reason      text NOT NULL,
    media       text NOT NULL,
    body        blob NOT NULL,
    tries       integer NOT NULL,
    replayed_at text
) STRICT;
CREATE INDEX inbound_messages_received ON inbound_messages (received_at, id);
CREATE INDEX inbound_messages_waiting ON inbound_messages (received_at, id) WHERE replayed_at IS NULL;
CREATE TABLE intakes (
    callback_id        text PRIMARY KEY,
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
    fields             text NOT NULL,
    parent             text NOT NULL,
    requested_by       text NOT NULL,
    requested_at       text,
    scheduled_for      text
, erased_at text, erased_by text NOT NULL DEFAULT '', erased_for text NOT NULL DEFAULT '', erased_after integer NOT NULL DEFAULT 0, erased_source text NOT NULL DEFAULT '') STRICT;
CREATE INDEX intakes_customer_phone ON intakes (customer_phone) WHERE customer_phone <> '';
CREATE INDEX intakes_customer_ref ON intakes (customer_ref) WHERE customer_ref <> '';
CREATE INDEX intakes_erased_source ON intakes (erased_source) WHERE erased_source <> '';
CREATE INDEX intakes_requested_by ON intakes (requested_by);
CREATE INDEX intakes_source ON intakes (source_system, source_ref) WHERE source_system <> '';
CREATE TABLE leases (
    name   text PRIMARY KEY,
    holder text NOT NULL,
    until  text NOT NULL
) STRICT;
CREATE TABLE list_views (
    staff_id text NOT NULL,
    name     text NOT NULL,
    query    text NOT NULL,
    PRIMARY KEY (staff_id, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE open_sources (
    policy        text NOT NULL,
    source_system text NOT NULL,
    source_ref    text NOT NULL,
    callback_id   text NOT NULL,
    PRIMARY KEY (policy, source_system, source_ref)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX open_sources_callback ON open_sources (callback_id);
CREATE TABLE outages (
    id          text PRIMARY KEY,
    queue       text NOT NULL,
    lob         text NOT NULL,
    source      text NOT NULL,
    words       text NOT NULL,
    end_words   text NOT NULL,
    declared_by text NOT NULL,
    declared_at text NOT NULL,
    ended_by    text NOT NULL,
    ended_at    text
) STRICT;
CREATE INDEX outages_active ON outages (declared_at, id) WHERE ended_at IS NULL;
CREATE INDEX outages_declared ON outages (declared_at, id);
CREATE TABLE policies (
    hash   text PRIMARY KEY,
    policy text NOT NULL
) STRICT;
CREATE TABLE presence (
    staff_id       text PRIMARY KEY REFERENCES staff (id) ON DELETE CASCADE,
    state          text NOT NULL,
    lapses_at      text,
    reserved_until text
, busy_until text) STRICT;
CREATE TABLE promises (
    callback_id text NOT NULL,
    tier_index  integer NOT NULL,
    tier        text NOT NULL,
    queue       text NOT NULL,
    policy      text NOT NULL,
    made_at     text NOT NULL,
    due_at      text,
    result      text NOT NULL,
    result_at   text,
    late_by     text NOT NULL,
    PRIMARY KEY (callback_id, tier_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX promises_made ON promises (made_at);
CREATE TABLE reservations (
    id          text PRIMARY KEY,
    staff_id    text NOT NULL,
    tier        text NOT NULL,
    queue       text NOT NULL,
    reserved_by text NOT NULL,
    expires_at  text NOT NULL,
    used_at     text
, errand_id text NOT NULL DEFAULT '') STRICT;
CREATE INDEX reservations_errand ON reservations (errand_id) WHERE errand_id <> '';
CREATE INDEX reservations_expiry ON reservations (expires_at);
CREATE VIRTUAL TABLE search USING fts5 (
    callback_id UNINDEXED,
    words,
    tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N*'"
);
CREATE TABLE sessions (
    id         text PRIMARY KEY,
    staff_id   text NOT NULL,
    data       blob NOT NULL,
    expires_at text
) STRICT;
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE INDEX sessions_staff ON sessions (staff_id);
CREATE TABLE settings (
    name  text PRIMARY KEY,
    value blob NOT NULL
) STRICT;
CREATE TABLE staff (
    id         text PRIMARY KEY,
    name       text NOT NULL,
    tier       text NOT NULL,
    rank       integer NOT NULL,
    capacity   integer NOT NULL,
    reports_to text NOT NULL,
    shift      text,
    shift_name text NOT NULL,
    identities text NOT NULL,
    roles      text NOT NULL
, active integer NOT NULL DEFAULT 1, version integer NOT NULL DEFAULT 1, origin text NOT NULL DEFAULT 'file', pinned text NOT NULL DEFAULT '[]', subject text NOT NULL DEFAULT '') STRICT;
CREATE UNIQUE INDEX staff_subject ON staff (subject) WHERE subject <> '';
CREATE TABLE staff_queues (
    staff_id text NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    queue    text NOT NULL,
    position integer NOT NULL,
    PRIMARY KEY (staff_id, queue)
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_queues_queue ON staff_queues (queue, staff_id);
CREATE TABLE tags (
    tag         text NOT NULL,
    callback_id text NOT NULL,
    PRIMARY KEY (tag, callback_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_callback ON tags (callback_id);
CREATE TABLE texts (
    id          text PRIMARY KEY,
    callback_id text NOT NULL,
    errand_id   text NOT NULL,
    kind        text NOT NULL,
    author      text NOT NULL,
    body        text NOT NULL,
    created_at  text NOT NULL,
    seq         integer
) STRICT;
CREATE INDEX texts_callback ON texts (callback_id, seq);
CREATE INDEX texts_staged ON texts (errand_id, created_at) WHERE seq IS NULL;
CREATE TABLE timeline (
    callback_id text NOT NULL,
    seq         integer NOT NULL,
    type        text NOT NULL,
    at          text NOT NULL,
    actor       text NOT NULL,
    tier        text NOT NULL,
    rule        text NOT NULL,
    text_id     text,
    data        text NOT NULL,
    PRIMARY KEY (callback_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX timeline_contacted ON timeline (callback_id, at) WHERE type = 'contacted';
