#!/usr/bin/env bash
# make lint: staticcheck as in make test, and golangci-lint, whose first build takes minutes.
. "$(dirname "$0")/lib.sh"

step "build staticcheck" build_tool tools honnef.co/go/tools/cmd/staticcheck
step "staticcheck" bin/staticcheck work
step "build golangci-lint" build_tool tools/golangci github.com/golangci/golangci-lint/v2/cmd/golangci-lint
for dir in $(modules); do
	[ -n "$(in_dir "$dir" go list -e ./... 2>/dev/null)" ] || continue # tools/ pins versions and holds no package
	step "golangci-lint: $(label "$dir")" in_dir "$dir" "$root/bin/golangci-lint" run ./...
done
finish
