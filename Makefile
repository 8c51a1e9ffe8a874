# The house's commands; `make help` lists them. CI calls the same ones.

GO            ?= go
BIN           := .bin
BUILD         := build
VERSION       ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS       := -s -w -X main.version=$(VERSION)

# Tools, each installed once by its version into $(BIN).
GOFUMPT       := $(BIN)/gofumpt-v0.12.0
GOLANGCI      := $(BIN)/golangci-lint-v2.15.0
GOVULNCHECK   := $(BIN)/govulncheck-v1.1.4
# The foreign speaker that interop talks to besides Debian's; the version is that of its API in go.mod.
GOBGP_VERSION := 4.8.0

# Rounds of the kill -9 test, how long each fuzz target runs, and each benchmark of a part.
KILL_ROUNDS   ?= 200
FUZZ_TIME     ?= 20s
BENCH_TIME    ?= 0.3s
DEPLOYMENT    ?=
PROFILE       ?=
ONLY          ?=

# Requests of the model of the whole.
N             ?= 1000000

.DEFAULT_GOAL := help
.PHONY: help build run demo demo-deployments test model kill interop bench bench-parts resilience fuzz check tools fmt docs clean \
	check-format check-vet check-lint check-budgets check-tidy check-imports check-conformance check-docs check-vulnerabilities

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the programs into build/
	@mkdir -p $(BUILD)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BUILD)/ ./cmd/...

run: build ## start the lab: a private PKI, a simulated server, the gateway; until Ctrl-C
	$(BUILD)/dotslab run --gateway $(BUILD)/dotsgate --deploy deploy/lab --state lab

demo: build ## play one attack through the lab and print what happened; DEPLOYMENT=cpe, provider or federation plays that
	$(BUILD)/dotslab demo --gateway $(BUILD)/dotsgate $(if $(DEPLOYMENT),--deployment $(DEPLOYMENT))

demo-deployments: build ## play the story of each deployment
	$(BUILD)/dotslab demo --gateway $(BUILD)/dotsgate --deployment cpe
	$(BUILD)/dotslab demo --gateway $(BUILD)/dotsgate --deployment provider
	$(BUILD)/dotslab demo --gateway $(BUILD)/dotsgate --deployment federation

test: ## all tests that need no root and no network, with race detector and shuffled order
	$(GO) test -race -shuffle=on ./...

model: ## play N generated requests through the core, between clients and servers of a model
	@$(GO) test -list '^TestFabric$$' ./gateway | grep '^TestFabric'
	cd gateway && DOTSGATE_MODEL_REQUESTS=$(N) $(GO) test -count=1 -timeout 120m -run '^TestFabric$$'

# A pattern that matches no test would pass without a word: so each is listed first.
kill: ## kill -9 the gateway under load, KILL_ROUNDS times
	@$(GO) test -list '^TestKill' ./internal/app/... | grep '^TestKill'
	DOTSGATE_KILL_ROUNDS=$(KILL_ROUNDS) $(GO) test -count=1 -timeout 10m -run '^TestKill' ./internal/app/...

interop: build ## tests against foreign peers (installs libcoap3-bin, freeradius and gobgpd when it can)
	@internal/tools/install-package coap-client-openssl libcoap3-bin
	@internal/tools/install-package freeradius freeradius
	@internal/tools/install-gobgpd $(BIN) $(GOBGP_VERSION)
	@$(GO) test -tags interop -list '^TestInterop' ./internal/interop/... | grep '^TestInterop'
	@internal/tools/test-aloud $(GO) test -v -count=1 -timeout 10m -tags interop -run '^TestInterop' ./internal/interop/...

# The gateway and others as processes with one core; under five minutes on a quiet machine. PROFILE=DIR writes CPU profiles of the gateway, ONLY is
# a pattern of rows.
bench: build ## measure the whole gateway beside others, then its parts (ONLY=pattern: those rows of the whole alone)
	$(GO) test -c -o $(BUILD)/bench.test ./internal/bench
	cd internal/bench && DOTSGATE_BENCH=1 DOTSGATE_BENCH_ONLY='$(ONLY)' DOTSGATE_BENCH_PROFILE=$(abspath $(PROFILE)) ../../$(BUILD)/bench.test -test.run '^TestBench$$' -test.timeout 15m
	@if [ -z '$(ONLY)' ]; then $(MAKE) --no-print-directory bench-parts; fi

bench-parts: ## run the benchmarks of the gateway's parts, BENCH_TIME each
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCH_TIME) -timeout 10m ./internal/app ./gateway ./store/sqlite ./internal/coap ./downstream ./policy ./wire/...

# Counts come from variables of the environment: DOTSGATE_RESILIENCE_SESSIONS, _HELLOS, _RATE, _SECONDS, _SOURCES, _STREAMS,
# _RECORDS, _IDLE, _UPGRADED, _SATURATED, _BEHIND, _RUNS, _ARMED; ONLY is a pattern of rows. Rows with a path of their own need root, iproute2 and nftables.
resilience: build ## attack the gateway over loopback, and look at what becomes of its sessions
	@internal/tools/install-package ip iproute2
	@internal/tools/install-package nft nftables
	$(GO) test -c -o $(BUILD)/resilience.test ./internal/resilience
	cd internal/resilience && DOTSGATE_RESILIENCE=1 DOTSGATE_RESILIENCE_ONLY='$(ONLY)' ../../$(BUILD)/resilience.test -test.run '^TestResilience$$' -test.timeout 60m

fuzz: ## run every fuzz target for FUZZ_TIME
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "fuzzing $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) $$pkg || exit 1; \
	  done; \
	done

check: check-format check-vet check-lint check-budgets check-tidy check-imports check-conformance check-docs check-vulnerabilities ## everything that can be said without running the product

check-format: $(GOFUMPT)
	@bad=$$($(GOFUMPT) -l .) || exit 1; \
	if [ -n "$$bad" ]; then echo "not formatted (make fmt):"; echo "$$bad"; exit 1; fi

check-vet:
	$(GO) vet ./...
	$(GO) vet -tags interop ./...

check-lint: $(GOLANGCI)
	$(GOLANGCI) run --build-tags interop ./...

check-budgets:
	$(GO) run ./internal/tools/budgets

check-tidy:
	$(GO) mod tidy -diff
	$(GO) mod verify

check-imports:
	$(GO) test ./internal/archtest

check-conformance:
	$(GO) run ./internal/tools/conformance -check

check-docs: build
	$(GO) run ./internal/tools/docscheck

check-vulnerabilities: $(GOVULNCHECK)
	@internal/tools/vulnerabilities $(GOVULNCHECK)

docs: ## write what is generated in docs/
	$(GO) run ./internal/tools/conformance

fmt: $(GOFUMPT) ## format the Go files
	$(GOFUMPT) -w .

tools: $(GOFUMPT) $(GOLANGCI) $(GOVULNCHECK) ## install the tools of `make check` into .bin/

$(GOFUMPT):
	@internal/tools/install-tool $@ mvdan.cc/gofumpt

$(GOLANGCI):
	@internal/tools/install-tool $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(GOVULNCHECK):
	@internal/tools/install-tool $@ golang.org/x/vuln/cmd/govulncheck

clean: ## remove what was built, and the lab's state
	rm -rf $(BUILD) $(BIN) lab
