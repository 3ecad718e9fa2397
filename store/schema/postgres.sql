-- The whole schema, as the migrations make it. Written by go test ./store -run Schema -update; do not edit.
CREATE TABLE api_keys (
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    scopes json NOT NULL,
    hash bytea NOT NULL,
    created_at timestamp(3) with time zone,
    created_by text NOT NULL,
    expires_at timestamp(3) with time zone,
    last_used_at timestamp(3) with time zone,
    revoked_at timestamp(3) with time zone,
    revoked_by text NOT NULL,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id)
);
CREATE TABLE callbacks (
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    status text NOT NULL,
    tier text NOT NULL,
    queue text NOT NULL,
    policy text NOT NULL,
    owner text NOT NULL,
    assignee text NOT NULL,
    requested_at timestamp(3) with time zone NOT NULL,
    due_at timestamp(3) with time zone,
    ahead smallint NOT NULL,
    due_order timestamp(3) with time zone NOT NULL,
    next_at timestamp(3) with time zone,
    overdue boolean NOT NULL,
    closed_at timestamp(3) with time zone,
    state json NOT NULL,
    outage text COLLATE "C" NOT NULL DEFAULT ''::text,
    CONSTRAINT callbacks_pkey PRIMARY KEY (id)
);
CREATE INDEX callbacks_assignee ON public.callbacks USING btree (assignee) WHERE ((closed_at IS NULL) AND (assignee <> ''::text));
CREATE INDEX callbacks_closed ON public.callbacks USING btree (closed_at) WHERE (closed_at IS NOT NULL);
CREATE INDEX callbacks_due ON public.callbacks USING btree (ahead, due_order, id);
CREATE INDEX callbacks_next ON public.callbacks USING btree (next_at) WHERE (next_at IS NOT NULL);
CREATE INDEX callbacks_open_due ON public.callbacks USING btree (ahead, due_order, id) WHERE (closed_at IS NULL);
CREATE INDEX callbacks_outage ON public.callbacks USING btree (outage, id) WHERE ((closed_at IS NULL) AND (outage <> ''::text));
CREATE INDEX callbacks_owner ON public.callbacks USING btree (owner) WHERE ((closed_at IS NULL) AND (owner <> ''::text));
CREATE INDEX callbacks_requested ON public.callbacks USING btree (requested_at, id);
CREATE TABLE connector_memory (
    connector text NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL,
    CONSTRAINT connector_memory_pkey PRIMARY KEY (connector, key)
);
CREATE TABLE deliveries (
    operation_id text COLLATE "C" NOT NULL,
    destination text NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    type text NOT NULL,
    state text NOT NULL,
    tries integer NOT NULL,
    code text NOT NULL,
    detail text NOT NULL,
    first_at timestamp(3) with time zone NOT NULL,
    tried_at timestamp(3) with time zone NOT NULL,
    next_at timestamp(3) with time zone,
    settled_at timestamp(3) with time zone,
    failed_at timestamp(3) with time zone,
    CONSTRAINT deliveries_pkey PRIMARY KEY (operation_id)
);
CREATE INDEX deliveries_callback ON public.deliveries USING btree (callback_id, seq);
CREATE INDEX deliveries_failure ON public.deliveries USING btree (destination, failed_at) WHERE (failed_at IS NOT NULL);
CREATE INDEX deliveries_log ON public.deliveries USING btree (tried_at, operation_id);
CREATE INDEX deliveries_owed ON public.deliveries USING btree (first_at, operation_id) WHERE (state = 'owed'::text);
CREATE INDEX deliveries_success ON public.deliveries USING btree (destination, settled_at) WHERE (state = 'delivered'::text);
CREATE TABLE draw_waits (
    callback_id text COLLATE "C" NOT NULL,
    queue text NOT NULL,
    CONSTRAINT draw_waits_pkey PRIMARY KEY (callback_id)
);
CREATE INDEX draw_waits_queue ON public.draw_waits USING btree (queue);
CREATE TABLE draws (
    seq bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    id text COLLATE "C" NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    queue text NOT NULL,
    tier text NOT NULL,
    method text NOT NULL,
    avoid text NOT NULL,
    at timestamp(3) with time zone NOT NULL,
    candidates json NOT NULL,
    drawn text COLLATE "C" NOT NULL,
    settled boolean NOT NULL,
    CONSTRAINT draws_pkey PRIMARY KEY (seq)
);
CREATE INDEX draws_drawn ON public.draws USING btree (queue, drawn, seq);
CREATE UNIQUE INDEX draws_id ON public.draws USING btree (id);
CREATE INDEX draws_queue ON public.draws USING btree (queue, at);
CREATE INDEX draws_unsettled ON public.draws USING btree (drawn, callback_id) WHERE (NOT settled);
CREATE TABLE errands (
    id text COLLATE "C" NOT NULL,
    principal text NOT NULL,
    path text NOT NULL,
    idempotency_key text NOT NULL,
    digest text NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    command text NOT NULL,
    created_at timestamp(3) with time zone NOT NULL,
    lease_until timestamp(3) with time zone,
    answered_at timestamp(3) with time zone,
    answer_status integer NOT NULL DEFAULT 0,
    answer_location text NOT NULL DEFAULT ''::text,
    answer_etag text NOT NULL DEFAULT ''::text,
    answer_body bytea,
    CONSTRAINT errands_pkey PRIMARY KEY (id)
);
CREATE INDEX errands_answered ON public.errands USING btree (answered_at) WHERE (answered_at IS NOT NULL);
CREATE INDEX errands_open ON public.errands USING btree (created_at, id) WHERE (answered_at IS NULL);
CREATE TABLE feed (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    seq bigint,
    callback_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    state json NOT NULL,
    at timestamp(3) with time zone NOT NULL,
    CONSTRAINT feed_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX feed_seq ON public.feed USING btree (seq) WHERE (seq IS NOT NULL);
CREATE INDEX feed_unnumbered ON public.feed USING btree (id) WHERE (seq IS NULL);
CREATE TABLE histories (
    callback_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    closed_at timestamp(3) with time zone NOT NULL,
    history bytea NOT NULL,
    CONSTRAINT histories_pkey PRIMARY KEY (callback_id, run_id)
);
CREATE TABLE inbound_messages (
    id text COLLATE "C" NOT NULL,
    connector text NOT NULL,
    received_at timestamp(3) with time zone NOT NULL,
    reason text NOT NULL,
    media text NOT NULL,
    body bytea NOT NULL,
    tries integer NOT NULL,
    replayed_at timestamp(3) with time zone,
    CONSTRAINT inbound_messages_pkey PRIMARY KEY (id)
);
CREATE INDEX inbound_messages_received ON public.inbound_messages USING btree (received_at, id);
CREATE INDEX inbound_messages_waiting ON public.inbound_messages USING btree (received_at, id) WHERE (replayed_at IS NULL);
CREATE TABLE intakes (
    callback_id text COLLATE "C" NOT NULL,
    policy text NOT NULL,
    policy_hash text NOT NULL,
    customer_ref text NOT NULL,
    customer_name text NOT NULL,
    customer_phone text NOT NULL,
    customer_email text NOT NULL,
    customer_time_zone text NOT NULL,
    reason text NOT NULL,
    source_system text NOT NULL,
    source_ref text NOT NULL,
    source_url text NOT NULL,
    lob text NOT NULL,
    transfer_tier text NOT NULL,
    transfer_outcome text NOT NULL,
    fields json NOT NULL,
    parent text NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamp(3) with time zone,
    scheduled_for timestamp(3) with time zone,
    erased_at timestamp(3) with time zone,
    erased_by text NOT NULL DEFAULT ''::text,
    erased_for text NOT NULL DEFAULT ''::text,
    erased_after bigint NOT NULL DEFAULT 0,
    erased_source text NOT NULL DEFAULT ''::text,
    CONSTRAINT intakes_pkey PRIMARY KEY (callback_id)
);
CREATE INDEX intakes_customer_phone ON public.intakes USING btree (customer_phone) WHERE (customer_phone <> ''::text);
CREATE INDEX intakes_customer_ref ON public.intakes USING btree (customer_ref) WHERE (customer_ref <> ''::text);
CREATE INDEX intakes_erased_source ON public.intakes USING btree (erased_source) WHERE (erased_source <> ''::text);
CREATE INDEX intakes_requested_by ON public.intakes USING btree (requested_by);
CREATE INDEX intakes_source ON public.intakes USING btree (source_system, source_ref) WHERE (source_system <> ''::text);
CREATE TABLE leases (
    name text NOT NULL,
    holder text NOT NULL,
    until timestamp(3) with time zone NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (name)
);
CREATE TABLE list_views (
    staff_id text NOT NULL,
    name text COLLATE "C" NOT NULL,
    query text NOT NULL,
    CONSTRAINT list_views_pkey PRIMARY KEY (staff_id, name)
);
CREATE TABLE open_sources (
    policy text NOT NULL,
    source_system text NOT NULL,
    source_ref text NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    CONSTRAINT open_sources_pkey PRIMARY KEY (policy, source_system, source_ref)
);
CREATE UNIQUE INDEX open_sources_callback ON public.open_sources USING btree (callback_id);
CREATE TABLE outages (
    id text COLLATE "C" NOT NULL,
    queue text NOT NULL,
    lob text NOT NULL,
    source text NOT NULL,
    words text NOT NULL,
    end_words text NOT NULL,
    declared_by text NOT NULL,
    declared_at timestamp(3) with time zone NOT NULL,
    ended_by text NOT NULL,
    ended_at timestamp(3) with time zone,
    CONSTRAINT outages_pkey PRIMARY KEY (id)
);
CREATE INDEX outages_active ON public.outages USING btree (declared_at, id) WHERE (ended_at IS NULL);
CREATE INDEX outages_declared ON public.outages USING btree (declared_at, id);
CREATE TABLE policies (
    hash text COLLATE "C" NOT NULL,
    policy json NOT NULL,
    CONSTRAINT policies_pkey PRIMARY KEY (hash)
);
CREATE TABLE presence (
    staff_id text COLLATE "C" NOT NULL,
    state text NOT NULL,
    lapses_at timestamp(3) with time zone,
    reserved_until timestamp(3) with time zone,
    busy_until timestamp(3) with time zone,
    CONSTRAINT presence_pkey PRIMARY KEY (staff_id)
);
CREATE TABLE promises (
    callback_id text COLLATE "C" NOT NULL,
    tier_index integer NOT NULL,
    tier text NOT NULL,
    queue text NOT NULL,
    policy text NOT NULL,
    made_at timestamp(3) with time zone NOT NULL,
    due_at timestamp(3) with time zone,
    result text NOT NULL,
    result_at timestamp(3) with time zone,
    late_by text NOT NULL,
    CONSTRAINT promises_pkey PRIMARY KEY (callback_id, tier_index)
);
CREATE INDEX promises_made ON public.promises USING btree (made_at);
CREATE TABLE reservations (
    id text COLLATE "C" NOT NULL,
    staff_id text COLLATE "C" NOT NULL,
    tier text NOT NULL,
    queue text NOT NULL,
    reserved_by text NOT NULL,
    expires_at timestamp(3) with time zone NOT NULL,
    used_at timestamp(3) with time zone,
    errand_id text COLLATE "C" NOT NULL DEFAULT ''::text,
    CONSTRAINT reservations_pkey PRIMARY KEY (id)
);
CREATE INDEX reservations_errand ON public.reservations USING btree (errand_id) WHERE (errand_id <> ''::text);
CREATE INDEX reservations_expiry ON public.reservations USING btree (expires_at);
CREATE TABLE search (
    callback_id text COLLATE "C" NOT NULL,
    words tsvector NOT NULL
);
CREATE INDEX search_callback ON public.search USING btree (callback_id);
CREATE INDEX search_words ON public.search USING gin (words);
CREATE TABLE sessions (
    id text COLLATE "C" NOT NULL,
    staff_id text NOT NULL,
    data bytea NOT NULL,
    expires_at timestamp(3) with time zone,
    CONSTRAINT sessions_pkey PRIMARY KEY (id)
);
CREATE INDEX sessions_expiry ON public.sessions USING btree (expires_at);
CREATE INDEX sessions_staff ON public.sessions USING btree (staff_id);
CREATE TABLE settings (
    name text NOT NULL,
    value bytea NOT NULL,
    CONSTRAINT settings_pkey PRIMARY KEY (name)
);
CREATE TABLE staff (
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    tier text NOT NULL,
    rank integer NOT NULL,
    capacity integer NOT NULL,
    reports_to text NOT NULL,
    shift json,
    shift_name text NOT NULL,
    identities json NOT NULL,
    roles json NOT NULL,
    active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    origin text NOT NULL DEFAULT 'file'::text,
    pinned json NOT NULL DEFAULT '[]'::json,
    subject text COLLATE "C" NOT NULL DEFAULT ''::text,
    CONSTRAINT staff_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX staff_subject ON public.staff USING btree (subject) WHERE (subject <> ''::text);
CREATE TABLE staff_queues (
    staff_id text COLLATE "C" NOT NULL,
    queue text NOT NULL,
    position integer NOT NULL,
    CONSTRAINT staff_queues_pkey PRIMARY KEY (staff_id, queue)
);
CREATE INDEX staff_queues_queue ON public.staff_queues USING btree (queue, staff_id);
CREATE TABLE tags (
    tag text NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    CONSTRAINT tags_pkey PRIMARY KEY (tag, callback_id)
);
CREATE INDEX tags_callback ON public.tags USING btree (callback_id);
CREATE TABLE texts (
    id text COLLATE "C" NOT NULL,
    callback_id text COLLATE "C" NOT NULL,
    errand_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    author text NOT NULL,
    body text NOT NULL,
    created_at timestamp(3) with time zone NOT NULL,
    seq bigint,
    CONSTRAINT texts_pkey PRIMARY KEY (id)
);
CREATE INDEX texts_callback ON public.texts USING btree (callback_id, seq);
CREATE INDEX texts_staged ON public.texts USING btree (errand_id, created_at) WHERE (seq IS NULL);
CREATE TABLE timeline (
    callback_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    type text NOT NULL,
    at timestamp(3) with time zone NOT NULL,
    actor text NOT NULL,
    tier text NOT NULL,
    rule text NOT NULL,
    text_id text COLLATE "C",
    data json NOT NULL,
    CONSTRAINT timeline_pkey PRIMARY KEY (callback_id, seq)
);
CREATE INDEX timeline_contacted ON public.timeline USING btree (callback_id, at) WHERE (type = 'contacted'::text);
ALTER TABLE presence ADD CONSTRAINT presence_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES staff(id) ON DELETE CASCADE;
ALTER TABLE staff_queues ADD CONSTRAINT staff_queues_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES staff(id) ON DELETE CASCADE;
