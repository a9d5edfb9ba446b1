#!/usr/bin/env bash
# make test: quick checks first, the tests last.
. "$(dirname "$0")/lib.sh"

check_format() {
	local bad
	bad=$(git ls-files -z --cached --others --exclude-standard -- '*.go' ':!*/testdata/*' | xargs -0r ls -d 2>/dev/null | xargs -r gofmt -l) || return 1
	[ -z "$bad" ] || {
		printf 'not formatted, run gofmt -w on:\n%s\n' "$bad"
		return 1
	}
}

dirs=$(modules)
for dir in $dirs; do
	step "download modules: $(label "$dir")" in_dir "$dir" env GOWORK=off go mod download
done
step "gofmt" check_format
for dir in $dirs; do
	step "go mod tidy -diff: $(label "$dir")" in_dir "$dir" env GOWORK=off go mod tidy -diff
	step "build alone, GOWORK=off: $(label "$dir")" in_dir "$dir" env GOWORK=off go build -o /dev/null ./...
done

step "go vet" go vet work
# The library must compile wherever Go does: 32-bit sizes and atomics, and what stands in for the Linux paths.
step "go vet: root, 386" env GOARCH=386 go vet ./...
step "go vet: root, windows" env GOOS=windows go vet ./...
step "go vet: root, darwin" env GOOS=darwin go vet ./...

step "build staticcheck" build_tool tools honnef.co/go/tools/cmd/staticcheck
step "staticcheck" bin/staticcheck work
step "browser files: bundlers and TypeScript, installed" in_dir web/test npm ci --no-audit --no-fund --silent
step "browser files: node --test" node --test web/test/*.test.mjs
step "browser files: types" in_dir web/test npx --no-install tsc --project types
step "browser: playwright installed" in_dir web/test/browser env PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --silent
# One file at a time: some measure delays. A machine without Chromium fails here.
step "browser: Chromium" node --test --test-concurrency=1 web/test/browser/*.test.mjs
step "foreign clients: installed" in_dir web/test/foreign npm ci --no-audit --no-fund --silent
# The build without poller and io_uring: what the other systems have.
step "go test -race: root, -tags portable" go test -race -timeout 5m -tags portable ./internal/sock ./internal/netpoll ./internal/uring ./transport/...
# Sizes, counters and atomics of 32 bits, where the machine can run such programs. There is no race detector for
# them.
runs_386() { GOARCH=386 go test -run '^$' ./internal/gcra >/dev/null 2>&1; }
if runs_386; then
	# internal/deps asks the go command about systems that have no such machines.
	step "go test: root, 386" env GOARCH=386 go test -timeout 5m $(go list ./internal/... ./transport/... | grep -v '/internal/deps$')
else
	echo "== go test: root, 386: this machine does not run them"
fi
# All speeds, which the race detector is too slow for.
step "go test: replays" go test -timeout 5m ./bench/replay
# A package that hangs must say so well within the time that CI has. One package at a time: some measure
# delays over real sockets, and the processors are few.
step "go test -race" go test -race -p 1 -timeout 8m work
finish
