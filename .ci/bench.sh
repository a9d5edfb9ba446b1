#!/usr/bin/env bash
# make bench: the comparison of fan-out with other servers, that of the file log with other stores, then the benchmarks of the
# packages. SCENARIO or PEERS select from the comparisons and leave out the benchmarks; BENCH selects from these and leaves
# out the comparisons. A SCENARIO that begins with storage- is one of stores: SCENARIO='storage-.*' is all of those.
. "$(dirname "$0")/lib.sh"

commit() { git describe --always --dirty 2>/dev/null || echo none; }

# called prints how make bench was called.
called() {
	local command="make bench" name
	for name in SCENARIO PEERS ROUNDS SHORT FOR DISK; do
		if [ -n "${!name:-}" ]; then command+=" $name='${!name}'"; fi
	done
	echo "$command"
}

# The whole comparison takes about two hours and renews docs/benchmarks.md; a part of it only shows its tables. Either can be
# made into the page later: bin/imbench -docs docs -report bin/bench-fanout.json,bin/bench-fanout-part.json
compare() {
	local args=(-commit "$(commit)" -rounds "${ROUNDS:-3}" -for "${FOR:-0s}")
	if [ -n "${SCENARIO:-}${PEERS:-}${SHORT:-}" ]; then
		args+=(-scenario "${SCENARIO:-}" -peers "${PEERS:-}" -json bin/bench-fanout-part.json ${SHORT:+-short})
	else
		args+=(-json bin/bench-fanout.json -docs docs)
	fi
	build_tool bench ./imbench && bin/imbench "${args[@]}" -command "$(called)"
}

# The stores write below DISK, which defaults to bin: the disk that is measured. The whole takes some ten minutes and renews
# docs/storage-benchmarks.md; parts of it are put together with bin/imstorebench -docs docs -report A,B
stores() {
	local args=(-commit "$(commit)" -rounds "${ROUNDS:-3}" -for "${FOR:-0s}" -dir "${DISK:-bin/bench-storage}")
	if [ -n "${SCENARIO:-}${PEERS:-}${SHORT:-}" ]; then
		args+=(-scenario "${SCENARIO:-}" -peers "${PEERS:-}" -json bin/bench-storage-part.json ${SHORT:+-short})
	else
		args+=(-json bin/bench-storage.json -docs docs)
	fi
	build_tool bench ./storage/imstorebench && bin/imstorebench "${args[@]}" -command "$(called)"
}

# bin/bench.txt is in the format that benchstat reads; its first lines say what the numbers were measured on.
bench() {
	{
		echo "date: $(date -u +%Y-%m-%dT%H:%M:%SZ)"
		echo "commit: $(commit)"
		echo "go: $(go env GOVERSION), $(getconf _NPROCESSORS_ONLN) cores"
		go test -run '^$' -bench "${BENCH:-.}" -benchmem -count "$COUNT" ${BENCHTIME:+-benchtime "$BENCHTIME"} -timeout 60m "$@"
	} | tee bin/bench.txt
}

selected=${SCENARIO:-}${PEERS:-}
if [ -n "$selected" ] || [ -z "${BENCH:-}" ]; then
	if [ "$(go env GOOS)" != linux ]; then
		echo "the comparisons need Linux; they are left out"
	else
		# PEERS alone means servers, as the stores have few.
		case ${SCENARIO:-} in storage-*) ;; *) step "comparison of servers" compare ;; esac
		case ${SCENARIO:-}:${PEERS:-} in storage-* | :) step "comparison of stores" stores ;; esac
	fi
fi
if [ -n "${BENCH:-}" ] || [ -z "$selected" ]; then
	packages=$(packages_with Benchmark)
	if [ -n "$packages" ]; then step "bench" bench $packages; fi
fi
finish
