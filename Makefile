# Every habit of the project, one target each. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8501
BIN := .venv/bin
# Where an environment forbids it, each of the hundreds of processes that the tests start would compile the product anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install dev run demo test suite quick lint types unit e2e bench shots lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1\t\2/' | expand -t 12

install: .venv/.runtime ## make .venv with what the product needs, by hash

.venv/.runtime: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

dev: .venv/.dev ## the same, and what tests, lint and types need

.venv/.dev: requirements-dev.txt requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@ .venv/.runtime

run: install ## start the product on PORT (8501)
	$(BIN)/streamlit run streamlit_app.py --server.port $(PORT)

demo: install ## start it with a seeded company, a user and the test mailbox
	$(BIN)/python -m cgcore demo --port $(PORT)

test: dev ## everything that CI runs, in its order
	bash tests/setup_packages.sh
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory -j2 types suite

suite: dev # all tests; pyright takes one core of two, so it runs beside them
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder -q -ra tests

quick: dev ## unit tests only
	$(BIN)/pytest -q tests/unit tests/contracts

lint: dev ## format, lint, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: dev ## pyright, strict on cgcore
	$(BIN)/pyright

e2e: dev ## browser tests only, with a picture of what they see in build/shots
	PICTURES=1 $(BIN)/pytest -q -m e2e tests

bench: dev ## ratios, each measured in one run
	$(BIN)/python -m bench

shots: dev ## screenshots of every page into build/shots, and the README's picture
	$(BIN)/python -m tests.shots

lock: dev ## compile both locks from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group dev -o requirements-dev.txt

clean: ## remove what the targets above made
	rm -rf .venv build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
