# Utaa. Needs Python 3.11 or newer and make; the rest is set up in .venv.
# `make help` lists the targets.

.DEFAULT_GOAL := help
.PHONY: help setup demo test check servers soak fuzz properties accept lock clean

PYTEST := .venv/bin/python -m pytest
# Compiled once, not by each of the hundreds of processes that the tests start.
unexport PYTHONDONTWRITEBYTECODE
# Arguments for pytest or the demo, e.g. make test ARGS="tests/wire -x", make demo ARGS="--port 8090"
ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## create .venv from the hash-pinned lock (instant when nothing changed)
	@scripts/setup

demo: setup ## homes in real khoroos, a fire within a minute, the page and the mailbox
	@.venv/bin/utaa demo $(ARGS)

check: setup ## format, lint, types and the import contract, in seconds
	@scripts/check

servers: ## install the servers that the tests use, from Debian's packages
	@scripts/servers

test: setup servers check ## everything that must hold before a change lands
	@$(PYTEST) -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

soak: setup ## the long runs: hours of load and faults (SOAK_MINUTES, default 60)
	@UTAA_SOAK_MINUTES=$${SOAK_MINUTES:-60} $(PYTEST) -m soak -n 0 --timeout 0 $(ARGS)

fuzz: setup ## every door with broken inputs, and a table of executions and crashes (ARGS="--minutes 60")
	@.venv/bin/python -W ignore -m tests.fuzz.run $(ARGS)

properties: setup ## every property with 2,000 examples instead of 40 (ARGS="tests/sources")
	@UTAA_HYPOTHESIS=deep $(PYTEST) -n 2 --dist loadfile --timeout 0 -m "hypothesis and not soak" $(ARGS)

accept: setup ## a simulated year of gers and one of cameras: hours, resumable (ARGS="--minutes 30 --jobs 1")
	@.venv/bin/python -m utaa.accept_alarms $(ARGS)
	@.venv/bin/python -m utaa.accept_cameras $(ARGS)

lock: setup ## write requirements.lock anew from pyproject.toml
	@scripts/lock

clean: ## remove what the targets above made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
