#!/usr/bin/env bash
# make soak: the tests in their long form, one package at a time so that they don't disturb each other.
. "$(dirname "$0")/lib.sh"

step "soak" env IM_SOAK=1 go test ${RACE:+"$RACE"} -count 1 -p 1 -timeout "$SOAKTIMEOUT" ${RUN:+-run "$RUN"} work
finish
