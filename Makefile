# Seven verbs; CI calls the same ones (.ci/run). `make help` lists them.

FUZZTIME    ?= 30s
COUNT       ?= 5
SOAKTIMEOUT ?= 90m
RACE        ?= -race
export FUZZTIME COUNT BENCH BENCHTIME FUZZ RUN SOAKTIMEOUT RACE PEERS SCENARIO ROUNDS SHORT FOR

.PHONY: help run test lint bench replay soak fuzz

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

run: ## start the example live room and print its address
	go run ./examples/liveroom $(ARGS)

test: ## everything that must pass before a commit: format, tidy, vet, staticcheck, tests under the race detector
	@bash .ci/test.sh

lint: ## staticcheck and golangci-lint (the first build of golangci-lint takes minutes)
	@bash .ci/lint.sh

bench: ## comparison with other servers, docs/benchmarks.md (SCENARIO=regexp PEERS=regexp ROUNDS=3 SHORT=1 FOR=4s), then benchmarks, bin/bench.txt (BENCH=regexp COUNT=5 BENCHTIME=1s)
	@bash .ci/bench.sh

replay: ## play the recordings into a room and renew docs/flow-control.md (virtual time, seconds)
	go test ./bench/replay -count=1 -report $(CURDIR)/docs

soak: ## the long form of the tests, IM_SOAK=1 (RUN=regexp SOAKTIMEOUT=90m a package; RACE= without the detector; IM_IO=uring, write or portable for one way to read and write; IM_CHURN=20m)
	@bash .ci/soak.sh

fuzz: ## every fuzz target in turn (FUZZTIME=60s or 5000x; FUZZ=regexp for some)
	@bash .ci/fuzz.sh
