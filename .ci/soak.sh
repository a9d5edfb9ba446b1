#!/usr/bin/env bash
# make soak: the tests in their long form, one package at a time so that they don't disturb each other.
. "$(dirname "$0")/lib.sh"

# Tests of connections run on all ways to read and write, IM_IO=uring, write or portable has them run on one. The
# churn of F18 takes IM_CHURN, 20m, on each, and measures the whole process: it has one to itself.
if [ -n "${RUN:-}" ]; then
	step "soak" env IM_SOAK=1 go test ${RACE:+"$RACE"} -count 1 -p 1 -timeout "$SOAKTIMEOUT" -run "$RUN" work
else
	step "soak" env IM_SOAK=1 go test ${RACE:+"$RACE"} -count 1 -p 1 -timeout "$SOAKTIMEOUT" -skip '^TestF18' work
	for io in ${IM_IO:-uring write portable}; do
		step "soak: F18, $io" env IM_SOAK=1 IM_IO="$io" go test ${RACE:+"$RACE"} -count 1 -timeout "$SOAKTIMEOUT" -run '^TestF18' .
	done
fi
finish
