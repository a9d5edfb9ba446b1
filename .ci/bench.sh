#!/usr/bin/env bash
# make bench: bin/bench.txt in the format that benchstat reads; its first lines say what the numbers were measured on.
. "$(dirname "$0")/lib.sh"

bench() {
	{
		echo "date: $(date -u +%Y-%m-%dT%H:%M:%SZ)"
		echo "commit: $(git describe --always --dirty 2>/dev/null || echo none)"
		echo "go: $(go env GOVERSION), $(getconf _NPROCESSORS_ONLN) cores"
		go test -run '^$' -bench "$BENCH" -benchmem -count "$COUNT" ${BENCHTIME:+-benchtime "$BENCHTIME"} -timeout 60m "$@"
	} | tee bin/bench.txt
}

packages=$(packages_with Benchmark)
if [ -n "$packages" ]; then step "bench" bench $packages; fi
finish
