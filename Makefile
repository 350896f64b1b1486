# Every target prepares what it needs; `make up` is all a newcomer types.
SHELL := /bin/sh
.DEFAULT_GOAL := help

BIN := .venv/bin
UV_COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
TESTS := $(wildcard tests/unit tests/oracle tests/integration tests/e2e tests/faults)
PYTEST := $(BIN)/python -m pytest
ARGS ?=

.PHONY: help setup setup/dev up up/stores status settings migrate/up migrate/down clickhouse/up clickhouse/down \
	run/api run/workers load demo test test/unit test/integration test/faults bench lint format lock

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z\/]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with what running needs (nothing to do when it is there)
	@sh deploy/setup.sh run

setup/dev: ## The same, with what the tests need
	@sh deploy/setup.sh dev

up: setup ## Run everything on this machine; Ctrl-C stops it
	@exec $(BIN)/cdp up

up/stores: setup ## The servers alone; start services with run/api and run/workers
	@exec $(BIN)/cdp up --stores

status: setup ## Show what runs
	@$(BIN)/cdp status

settings: setup ## Show every setting
	@$(BIN)/cdp settings

migrate/up: setup ## PostgreSQL's migrations and the NATS streams
	@$(BIN)/cdp migrate up

migrate/down: setup ## Take one PostgreSQL migration back: ARGS="query/postgres --steps 1"
	@$(BIN)/cdp migrate down $(ARGS)

clickhouse/up: setup ## ClickHouse's migrations
	@$(BIN)/cdp clickhouse up

clickhouse/down: setup ## Take one ClickHouse migration back: ARGS="shared/clickhouse --steps 1"
	@$(BIN)/cdp clickhouse down $(ARGS)

run/api: setup ## Run the gateway and the query service: ARGS="--replicas 2"
	@exec $(BIN)/cdp run api $(ARGS)

run/workers: setup ## Run the background services and their health endpoint
	@exec $(BIN)/cdp run workers $(ARGS)

load: setup ## Load a file of events: ARGS="FILE --workspace UUID --map …"
	@$(BIN)/cdp load $(ARGS)

demo: setup ## Fill the demo workspace
	@$(BIN)/cdp demo $(ARGS)

test: setup/dev lint ## Everything that must pass
	$(PYTEST) $(TESTS) $(ARGS)

test/unit: setup/dev ## Tests that start nothing
	$(PYTEST) tests/unit $(ARGS)

test/integration: setup/dev ## Tests against the embedded servers: ARGS="--infra=containers" for the official images
	$(PYTEST) $(filter-out tests/unit tests/faults,$(TESTS)) $(ARGS)

test/faults: setup/dev ## Tests that kill processes under load
	$(PYTEST) tests/faults $(ARGS)

bench: setup/dev ## Measurements, printed and kept in tests/bench/results: ARGS="requests" for one
	$(BIN)/python -m tests.bench $(ARGS)

lint: setup/dev ## Lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup/dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup/dev ## Resolve the requirements again, keeping what still fits: ARGS="--upgrade" for the newest
	$(UV_COMPILE) $(ARGS) requirements.in -o requirements.lock
	$(UV_COMPILE) $(ARGS) requirements-embedded.in -o requirements-embedded.lock
	$(UV_COMPILE) $(ARGS) requirements-dev.in -o requirements-dev.lock
