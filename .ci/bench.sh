#!/usr/bin/env bash
# make bench: the comparison of fan-out with other servers, then the benchmarks of the packages. SCENARIO or PEERS
# select from the comparison and leave out the benchmarks; BENCH selects from these and leaves out the comparison.
. "$(dirname "$0")/lib.sh"

commit() { git describe --always --dirty 2>/dev/null || echo none; }

# The whole comparison takes about two hours and renews docs/benchmarks.md; a part of it only shows its tables. Either can be
# made into the page later: bin/imbench -docs docs -report bin/bench-fanout.json,bin/bench-fanout-part.json
compare() {
	local args=(-commit "$(commit)" -rounds "${ROUNDS:-3}" -for "${FOR:-0s}") command="make bench" name
	for name in SCENARIO PEERS ROUNDS SHORT FOR; do
		if [ -n "${!name:-}" ]; then command+=" $name='${!name}'"; fi
	done
	if [ -n "${SCENARIO:-}${PEERS:-}${SHORT:-}" ]; then
		args+=(-scenario "${SCENARIO:-}" -peers "${PEERS:-}" -json bin/bench-fanout-part.json ${SHORT:+-short})
	else
		args+=(-json bin/bench-fanout.json -docs docs)
	fi
	build_tool bench ./imbench && bin/imbench "${args[@]}" -command "$command"
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
	if [ "$(go env GOOS)" = linux ]; then step "comparison" compare; else echo "the comparison needs Linux; it is left out"; fi
fi
if [ -n "${BENCH:-}" ] || [ -z "$selected" ]; then
	packages=$(packages_with Benchmark)
	if [ -n "$packages" ]; then step "bench" bench $packages; fi
fi
finish
