#!/usr/bin/env bash
# make fuzz: each fuzz target of the workspace for FUZZTIME. A failing input lands in testdata/fuzz of its package; commit it.
. "$(dirname "$0")/lib.sh"

# fuzz PACKAGE TARGET. Go before 1.27 may report `context deadline exceeded` and no input when the time is up while
# a worker is busy (golang/go#75804); that alone earns a second try. A count (FUZZTIME=5000x) has no such race.
fuzz() {
	local log try
	log=$(mktemp)
	for try in 1 2; do
		if go test -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10s "$1" 2>&1 | tee "$log"; then
			rm "$log"
			return
		fi
		if ! grep -q 'context deadline exceeded' "$log" || grep -q 'Failing input written' "$log"; then break; fi
	done
	rm "$log"
	return 1
}

packages=$(packages_with Fuzz)
for package in $packages; do
	if ! targets=$(go test -list "${FUZZ:-^Fuzz}" "$package"); then
		printf '%s\n' "$targets"
		failed+=("list the fuzz targets: $(label "$package")")
		continue
	fi
	for target in $(grep '^Fuzz' <<<"$targets" || true); do
		step "fuzz: $(label "$package") $target" fuzz "$package" "$target"
	done
done
finish
