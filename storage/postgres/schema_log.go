package postgres

// logTables is what a log stores. Names and IDs are bytea, since they may hold
// every byte; "@" stands for the schema.
//
// The row of a room is the lock under which its positions are given, so that
// the order of commits is the order of positions, and the counters say without
// a count whether there is something to trim. Positions within an epoch have no
// holes: what is not there was dropped, which is what makes Page.Missed exact.
const logTables = `
CREATE TABLE @.meta (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	version int NOT NULL,
	epoch   text NOT NULL,                 -- of rooms that have no row
	era     text NOT NULL,                 -- see era_1
	loose   boolean NOT NULL DEFAULT false, -- a crash of the server may lose events
	secret  bytea NOT NULL DEFAULT decode(replace(concat(gen_random_uuid(), gen_random_uuid()), '-', ''), 'hex')
);
-- Unlogged: empty after every crash of the server, which is what it is for.
CREATE UNLOGGED TABLE @.run (
	one   boolean PRIMARY KEY DEFAULT true CHECK (one),
	token text NOT NULL
);
CREATE TABLE @.room (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name        bytea NOT NULL UNIQUE,
	epoch       text NOT NULL,
	era         text NOT NULL,
	head        bigint NOT NULL DEFAULT 0, -- of the newest event
	trimmed     bigint NOT NULL DEFAULT 0, -- of the newest event other than volatile that was dropped
	floor       bigint NOT NULL DEFAULT 0, -- no event up to here is kept
	kept        bigint NOT NULL DEFAULT 0, -- events other than volatile after trimmed
	volatiles   bigint NOT NULL DEFAULT 0,
	past        bigint NOT NULL DEFAULT 0, -- dropped events whose rows still hold their IDs
	oldest      timestamptz,               -- of kept and volatiles
	oldest_past timestamptz,
	used        timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE @.event (
	room      bigint NOT NULL,
	seq       bigint NOT NULL,
	id        bytea NOT NULL,
	digest    bytea NOT NULL,
	class     smallint NOT NULL,
	kind      bytea NOT NULL,
	at        timestamptz NOT NULL,
	from_id   bytea NOT NULL,
	from_name bytea NOT NULL,
	body      bytea NOT NULL,
	n         bigint NOT NULL,
	stored    timestamptz NOT NULL,
	PRIMARY KEY (room, seq),
	UNIQUE (room, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX event_volatile ON @.event (room, seq) WHERE class = 3;
CREATE TABLE @.snapshot (
	room  bigint PRIMARY KEY,
	epoch text NOT NULL,
	seq   bigint NOT NULL,
	data  bytea NOT NULL
);

CREATE FUNCTION @.epoch_1() RETURNS text LANGUAGE sql VOLATILE AS
	$$ SELECT replace(gen_random_uuid()::text, '-', '') $$;

-- Whoever deletes rooms loses their events: what comes to life under one of
-- their names has a new epoch.
CREATE FUNCTION @.forget_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM gone WHERE head > 0) THEN
		UPDATE @.meta SET epoch = @.epoch_1();
	END IF;
	DELETE FROM @.event USING gone WHERE room = gone.id;
	DELETE FROM @.snapshot USING gone WHERE room = gone.id;
	RETURN NULL;
END $$;
CREATE TRIGGER forget AFTER DELETE ON @.room REFERENCING OLD TABLE AS gone
	FOR EACH STATEMENT EXECUTE FUNCTION @.forget_1();
CREATE FUNCTION @.forget_all_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE @.meta SET epoch = @.epoch_1();
	TRUNCATE @.event, @.snapshot;
	RETURN NULL;
END $$;
CREATE TRIGGER forget_all AFTER TRUNCATE ON @.room
	FOR EACH STATEMENT EXECUTE FUNCTION @.forget_all_1();
`

// logFunctions are the calls of a log, one round trip each. Their names carry a
// version: processes of two versions may share a schema for a while. plpgsql
// keeps their plans. They may not take a sequential scan, which looks cheap
// while a table is new and would stay in the plan; where there is no other way, its
// cost is said to be so high that the server would compile the statement first.
const logFunctions = `
-- The era changes when the server may have lost events that it had confirmed:
-- after a failover (the timeline), after a restore (the system, the table), and
-- after a crash if it confirms before it has written.
CREATE OR REPLACE FUNCTION @.era_1() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	v_token text := '';
BEGIN
	IF (SELECT loose FROM @.meta) THEN
		SELECT token INTO v_token FROM @.run;
		IF v_token IS NULL THEN
			INSERT INTO @.run (token) VALUES (@.epoch_1()) ON CONFLICT DO NOTHING;
			SELECT token INTO v_token FROM @.run;
		END IF;
	END IF;
	RETURN concat_ws('.', (SELECT system_identifier FROM pg_control_system()),
		left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), '@.room'::regclass::oid, v_token);
END $$;

CREATE OR REPLACE FUNCTION @.born_1(p_name bytea, p_era text, p_shift interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_epoch text;
BEGIN
	SELECT epoch INTO v_epoch FROM @.meta WHERE era = p_era FOR SHARE;
	IF v_epoch IS NULL THEN
		UPDATE @.meta SET epoch = @.epoch_1(), era = p_era WHERE era <> p_era;
		SELECT epoch INTO v_epoch FROM @.meta FOR SHARE;
	END IF;
	INSERT INTO @.room (name, epoch, era, used) VALUES (p_name, v_epoch, p_era, clock_timestamp() + p_shift)
		ON CONFLICT (name) DO NOTHING;
END $$;

-- The IDs of a call must differ from each other. o_digests has the digest of the
-- event that was there already, or null where the given one was stored.
CREATE OR REPLACE FUNCTION @.append_1(
	p_room bytea, p_shift interval, p_ids bytea[], p_digests bytea[], p_classes smallint[], p_kinds bytea[],
	p_ats timestamptz[], p_from_ids bytea[], p_from_names bytea[], p_bodies bytea[], p_ns bigint[],
	OUT o_id bigint, OUT o_epoch text, OUT o_before bigint, OUT o_seqs bigint[], OUT o_digests bytea[])
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
	r           @.room;
	v_era       text := @.era_1();
	v_now       timestamptz;
	v_durables  bigint;
	v_volatiles bigint;
BEGIN
	LOOP
		SELECT * INTO r FROM @.room WHERE name = p_room FOR NO KEY UPDATE;
		EXIT WHEN FOUND;
		PERFORM @.born_1(p_room, v_era, p_shift);
	END LOOP;
	IF r.era <> v_era THEN
		r.epoch := @.epoch_1();
		UPDATE @.room SET epoch = r.epoch, era = v_era WHERE id = r.id;
		UPDATE @.snapshot SET epoch = r.epoch WHERE room = r.id;
	END IF;
	v_now := clock_timestamp() + p_shift;
	WITH given AS (
		SELECT g.*, e.seq AS old_seq, e.digest AS old_digest
		FROM unnest(p_ids, p_digests, p_classes, p_kinds, p_ats, p_from_ids, p_from_names, p_bodies, p_ns)
			WITH ORDINALITY AS g (id, digest, class, kind, at, from_id, from_name, body, n, i)
		LEFT JOIN @.event e ON e.room = r.id AND e.id = g.id
	), placed AS (
		SELECT given.*, r.head + count(*) FILTER (WHERE old_seq IS NULL) OVER (ORDER BY i) AS seq FROM given
	), stored AS (
		INSERT INTO @.event (room, seq, id, digest, class, kind, at, from_id, from_name, body, n, stored)
		SELECT r.id, seq, id, digest, class, kind, at, from_id, from_name, body, n, v_now
		FROM placed WHERE old_seq IS NULL
	)
	SELECT array_agg(coalesce(old_seq, seq) ORDER BY i),
		array_agg(old_digest ORDER BY i),
		count(*) FILTER (WHERE old_seq IS NULL AND class <> 3),
		count(*) FILTER (WHERE old_seq IS NULL AND class = 3)
	INTO o_seqs, o_digests, v_durables, v_volatiles FROM placed;
	IF v_durables + v_volatiles > 0 THEN
		UPDATE @.room SET head = head + v_durables + v_volatiles, kept = kept + v_durables,
			volatiles = volatiles + v_volatiles, oldest = coalesce(oldest, v_now), used = v_now
		WHERE id = r.id;
	END IF;
	o_id := r.id;
	o_epoch := r.epoch;
	o_before := r.head;
END $$;

-- The first row is the room, the others are events: all of one moment, as the
-- function is stable. A room is meant by p_id, or by its name if that is null.
CREATE OR REPLACE FUNCTION @.read_1(
	p_room bytea, p_id bigint, p_after bigint, p_before bigint, p_limit bigint, p_newest boolean)
RETURNS TABLE (o_id bigint, o_epoch text, o_head bigint, o_trimmed bigint, o_seq bigint, o_event_id bytea,
	o_digest bytea, o_class smallint, o_kind bytea, o_at timestamptz, o_from_id bytea, o_from_name bytea,
	o_body bytea, o_n bigint)
LANGUAGE plpgsql STABLE SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
	r       @.room;
	v_after bigint;
BEGIN
	IF p_id IS NULL THEN
		SELECT * INTO r FROM @.room WHERE name = p_room;
	ELSE
		SELECT * INTO r FROM @.room WHERE id = p_id;
	END IF;
	o_id := r.id;
	o_epoch := coalesce(r.epoch, (SELECT epoch FROM @.meta));
	o_head := coalesce(r.head, 0);
	o_trimmed := coalesce(r.trimmed, 0);
	RETURN NEXT;
	v_after := greatest(p_after, r.floor);
	IF r.id IS NULL OR p_limit = 0 OR v_after >= r.head THEN
		RETURN;
	ELSIF p_newest THEN
		RETURN QUERY SELECT page.* FROM (
			SELECT NULL::bigint, NULL::text, NULL::bigint, NULL::bigint, seq, id, digest, class, kind, at, from_id, from_name, body, n
			FROM @.event WHERE room = r.id AND seq > v_after AND seq < p_before AND (class = 3 OR seq > r.trimmed)
			ORDER BY seq DESC LIMIT p_limit) page ORDER BY page.seq;
	ELSE
		RETURN QUERY
			SELECT NULL::bigint, NULL::text, NULL::bigint, NULL::bigint, seq, id, digest, class, kind, at, from_id, from_name, body, n
			FROM @.event WHERE room = r.id AND seq > v_after AND seq < p_before AND (class = 3 OR seq > r.trimmed)
			ORDER BY seq LIMIT p_limit;
	END IF;
END $$;

CREATE OR REPLACE FUNCTION @.follow_1(p_room bytea, p_shift interval, OUT o_id bigint, OUT o_epoch text, OUT o_head bigint)
LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		SELECT id, epoch, head INTO o_id, o_epoch, o_head FROM @.room WHERE name = p_room;
		EXIT WHEN FOUND;
		PERFORM @.born_1(p_room, @.era_1(), p_shift);
	END LOOP;
END $$;

-- Notifications are sent after the commit that they tell of: NOTIFY takes a lock
-- of the whole server until its transaction has ended, which here has no disk to
-- wait for.
CREATE OR REPLACE FUNCTION @.notify_1(p_channel text, p_payloads text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	PERFORM pg_notify(p_channel, p) FROM unnest(p_payloads) p;
END $$;

CREATE OR REPLACE FUNCTION @.snapshot_1(p_room bytea, p_epoch text, p_seq bigint, p_data bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	v_id bigint;
BEGIN
	SELECT id INTO v_id FROM @.room WHERE name = p_room AND epoch = p_epoch AND head >= p_seq FOR SHARE;
	IF FOUND THEN
		INSERT INTO @.snapshot AS s (room, epoch, seq, data) VALUES (v_id, p_epoch, p_seq, p_data)
		ON CONFLICT (room) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, data = excluded.data
		WHERE s.epoch <> excluded.epoch OR s.seq < excluded.seq;
	END IF;
END $$;
`

// trimFunction drops what is past its retention in one room. What is dropped
// by its place or age is a prefix of its kind of events. Rows of events other
// than volatile ones stay for their IDs, until those are past the window.
const trimFunction = `
CREATE OR REPLACE FUNCTION @.trim_1(
	p_id bigint, p_shift interval, p_keep interval, p_events bigint, p_volatiles bigint, p_dedup interval, p_ids bigint)
RETURNS void LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
	r       @.room;
	v_now   timestamptz := clock_timestamp() + p_shift;
	v_cut   bigint;
	v_young bigint;
	v_n     bigint;
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true); -- a trim that is lost is done again
	SELECT * INTO r FROM @.room WHERE id = p_id FOR UPDATE;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF r.volatiles > 0 THEN
		SELECT seq INTO v_cut FROM @.event WHERE room = r.id AND class = 3 ORDER BY seq DESC OFFSET p_volatiles LIMIT 1;
		SELECT seq INTO v_young FROM @.event WHERE room = r.id AND class = 3 AND stored >= v_now - p_keep ORDER BY seq LIMIT 1;
		DELETE FROM @.event WHERE room = r.id AND class = 3 AND seq <= greatest(v_cut, coalesce(v_young - 1, r.head));
		GET DIAGNOSTICS v_n = ROW_COUNT;
		r.volatiles := r.volatiles - v_n;
	END IF;
	IF r.kept > 0 THEN
		v_cut := NULL;
		IF r.kept > p_events THEN
			SELECT seq INTO v_cut FROM @.event WHERE room = r.id AND class <> 3 AND seq > r.trimmed ORDER BY seq DESC OFFSET p_events LIMIT 1;
		END IF;
		SELECT seq INTO v_young FROM @.event
			WHERE room = r.id AND class <> 3 AND seq > r.trimmed AND stored >= v_now - p_keep ORDER BY seq LIMIT 1;
		SELECT count(*), max(seq) INTO v_n, v_cut FROM @.event
			WHERE room = r.id AND class <> 3 AND seq > r.trimmed AND seq <= greatest(v_cut, coalesce(v_young - 1, r.head));
		r.trimmed := coalesce(v_cut, r.trimmed);
		r.kept := r.kept - v_n;
		r.past := r.past + v_n;
	END IF;
	IF r.past > 0 THEN
		v_cut := NULL;
		v_n := least(r.past, r.past + r.kept - p_ids);
		IF v_n > 0 THEN
			SELECT seq INTO v_cut FROM @.event WHERE room = r.id AND class <> 3 ORDER BY seq OFFSET v_n - 1 LIMIT 1;
		END IF;
		SELECT seq INTO v_young FROM @.event
			WHERE room = r.id AND class <> 3 AND seq <= r.trimmed AND stored >= v_now - p_dedup ORDER BY seq LIMIT 1;
		DELETE FROM @.event WHERE room = r.id AND class <> 3 AND seq <= greatest(v_cut, coalesce(v_young - 1, r.trimmed));
		GET DIAGNOSTICS v_n = ROW_COUNT;
		r.past := r.past - v_n;
	END IF;
	PERFORM @.settle_1(r, r.used < v_now - p_keep);
END $$;

-- The rest of trim_1: it notes what is left, or forgets a room of which nothing is.
CREATE OR REPLACE FUNCTION @.settle_1(r @.room, p_idle boolean) RETURNS void
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
	v_volatile record;
	v_kept     timestamptz;
	v_past     timestamptz;
BEGIN
	IF p_idle AND r.kept + r.volatiles + r.past = 0 AND NOT EXISTS (SELECT FROM @.snapshot WHERE room = r.id) THEN
		DELETE FROM @.room WHERE id = r.id;
		RETURN;
	END IF;
	SELECT seq, stored INTO v_volatile FROM @.event WHERE room = r.id AND class = 3 ORDER BY seq LIMIT 1;
	SELECT stored INTO v_kept FROM @.event WHERE room = r.id AND class <> 3 AND seq > r.trimmed ORDER BY seq LIMIT 1;
	SELECT stored INTO v_past FROM @.event WHERE room = r.id AND class <> 3 AND seq <= r.trimmed ORDER BY seq LIMIT 1;
	UPDATE @.room SET trimmed = r.trimmed, kept = r.kept, volatiles = r.volatiles, past = r.past,
		floor = least(v_volatile.seq - 1, r.trimmed), oldest = least(v_volatile.stored, v_kept), oldest_past = v_past
	WHERE id = r.id;
END $$;
`
