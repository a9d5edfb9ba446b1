package postgres

// ledgerTables is what a ledger stores. Text that callers choose is bytea, which
// holds every byte and compares by bytes, as keys must. "@" stands for the schema.
const ledgerTables = `
CREATE TABLE @.entry (
	key     bytea PRIMARY KEY,
	version bigint NOT NULL,
	kind    bytea NOT NULL,
	state   bytea NOT NULL,
	room    bytea NOT NULL,
	"user"  bytea NOT NULL,
	data    bytea NOT NULL,
	due     timestamptz,
	created timestamptz NOT NULL,
	updated timestamptz NOT NULL
);
CREATE INDEX entry_due ON @.entry (due, key) WHERE due IS NOT NULL;
CREATE INDEX entry_room ON @.entry (room, key) WHERE room <> '';
CREATE INDEX entry_user ON @.entry ("user", key) WHERE "user" <> '';
CREATE INDEX entry_state ON @.entry (kind, state, key);
`

// ledgerFunctions are the calls of a ledger that are more than a query.
const ledgerFunctions = `
-- The changes are in rising order of their keys, so that two calls lock what they
-- share in one order. A row comes back for each, or one for the first of the
-- caller's changes (p_order) that is stale, with nothing done. An entry that came
-- into being after the others were locked fails the call with IM001: the next try
-- sees it.
CREATE OR REPLACE FUNCTION @.commit_1(
	p_keys bytea[], p_versions bigint[], p_deletes boolean[], p_order bigint[], p_kinds bytea[], p_states bytea[],
	p_rooms bytea[], p_users bytea[], p_data bytea[], p_dues timestamptz[])
RETURNS TABLE (o_i bigint, o_version bigint, o_created timestamptz, o_updated timestamptz, o_stale boolean)
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
	v_now  timestamptz := clock_timestamp();
	v_n    bigint;
	v_done bigint;
BEGIN
	PERFORM FROM unnest(p_keys) WITH ORDINALITY AS g (key, i) JOIN @.entry e ON e.key = g.key
		ORDER BY g.i FOR NO KEY UPDATE OF e;
	SELECT g.i, coalesce(e.version, 0) INTO o_i, o_version
		FROM unnest(p_keys, p_versions, p_order) WITH ORDINALITY AS g (key, version, o, i)
		LEFT JOIN @.entry e ON e.key = g.key
		WHERE coalesce(e.version, 0) <> g.version ORDER BY g.o LIMIT 1;
	IF FOUND THEN
		o_stale := true;
		RETURN NEXT;
		RETURN;
	END IF;
	INSERT INTO @.entry (key, version, kind, state, room, "user", data, due, created, updated)
		SELECT g.key, 1, g.kind, g.state, g.room, g.u, g.data, g.due, v_now, v_now
		FROM unnest(p_keys, p_versions, p_kinds, p_states, p_rooms, p_users, p_data, p_dues)
			WITH ORDINALITY AS g (key, version, kind, state, room, u, data, due, i)
		WHERE g.version = 0 ORDER BY g.i
		ON CONFLICT (key) DO NOTHING;
	GET DIAGNOSTICS v_done = ROW_COUNT;
	UPDATE @.entry e SET version = e.version + 1, kind = g.kind, state = g.state, room = g.room, "user" = g.u,
			data = g.data, due = g.due, updated = greatest(v_now, e.updated)
		FROM unnest(p_keys, p_versions, p_deletes, p_kinds, p_states, p_rooms, p_users, p_data, p_dues)
			AS g (key, version, del, kind, state, room, u, data, due)
		WHERE e.key = g.key AND e.version = g.version AND g.version > 0 AND NOT g.del;
	GET DIAGNOSTICS v_n = ROW_COUNT;
	v_done := v_done + v_n;
	RETURN QUERY SELECT g.i, e.version, e.created, e.updated, false
		FROM unnest(p_keys) WITH ORDINALITY AS g (key, i) JOIN @.entry e ON e.key = g.key ORDER BY g.i;
	DELETE FROM @.entry e USING unnest(p_keys, p_versions, p_deletes) AS g (key, version, del)
		WHERE e.key = g.key AND e.version = g.version AND g.del;
	GET DIAGNOSTICS v_n = ROW_COUNT;
	IF v_done + v_n < cardinality(p_keys) THEN
		RAISE EXCEPTION 'an entry has changed meanwhile' USING ERRCODE = 'IM001';
	END IF;
END $$;
`
