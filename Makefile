# Everything one does with this checkout. `make` alone prints this list.
# Variables: VENV=folder, PYTHON=interpreter, ARGS=further arguments, WORKERS=, SEED=, DEMO_DIR=, BENCH_ROWS=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
ARGS ?=
SEED ?= $(shell date +%s)
# Many tests wait for servers and time limits: three of them keep two cores busy.
WORKERS ?= $(shell n=$$(( ($$(nproc) * 3 + 1) / 2 )); echo $$(( n > 12 ? 12 : n )))
PY := $(VENV)/bin/python

export PYTHON
# Programs that tests and demo start are found in the environment first.
export PATH := $(abspath $(VENV))/bin:$(PATH)

.PHONY: help core dev demo test test-quick check bench trial simulate simulate-mutants soak docs format pin clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

core: ## set up what a user needs, in .venv
	@tools/bootstrap.sh "$(VENV)" core

dev: ## set up what tests and checks need, in .venv
	@tools/bootstrap.sh "$(VENV)" dev

demo: core ## three sites on this disk: publish, copy, damage, check, repair (about a minute)
	@"$(VENV)/bin/holdfast" demo $(if $(DEMO_DIR),--dir "$(DEMO_DIR)") $(ARGS)

test: dev ## every test, real file systems and servers included
	@tools/system-packages.sh
	@tools/fts-client.sh "$(VENV)"
	"$(PY)" -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-quick: dev ## the tests that take seconds and need nothing but memory and disk
	"$(PY)" -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not real" $(ARGS)

check: dev ## format, lint, types, floors, tidiness, freshness of generated pages, links
	"$(VENV)/bin/ruff" format --check .
	"$(VENV)/bin/ruff" check .
	"$(VENV)/bin/mypy"
	"$(VENV)/bin/lint-imports"
	"$(PY)" tools/docs.py --check
	"$(PY)" -m pytest -q tests/tidy

bench: dev ## our speed beside that of simpler means, in one run
	"$(PY)" -m bench $(ARGS)

trial: dev ## a day of 10 million files on real servers, with all that goes wrong (an hour); ARGS="--scale 0.01" is less
	@tools/system-packages.sh
	"$(PY)" -m trial $(ARGS)

simulate: dev ## a seeded world with faults; SEED=number repeats a run
	"$(PY)" -m holdfast.testing.simulator --seed $(SEED) $(ARGS)

simulate-mutants: dev ## plant bugs that the simulator has to find; ARGS="--jobs 2 --write NAME..."
	"$(PY)" tools/mutants.py $(ARGS)

soak: dev ## full counts of kills and seeds (long); the log is kept in soak-log/
	@tools/system-packages.sh soak
	@mkdir -p soak-log
	HOLDFAST_SOAK=1 HOLDFAST_KILLS=$${HOLDFAST_KILLS:-200} HOLDFAST_SEEDS=$${HOLDFAST_SEEDS:-1000} \
	  "$(PY)" -m pytest -v -s --timeout 0 -o faulthandler_timeout=0 $(ARGS) 2>&1 \
	  | tee "soak-log/$$(date -u +%Y%m%dT%H%M%SZ).log"

docs: dev ## write the generated pages anew
	"$(PY)" tools/docs.py

format: dev ## bring the source into form
	"$(VENV)/bin/ruff" check --fix --exit-zero -q .
	"$(VENV)/bin/ruff" format .

pin: ## renew constraints.txt from what the registry has now
	tools/pin.sh

clean: ## remove what was made here: environment, caches, outputs
	rm -rf build dist bench/out bench/data .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
	@if [[ -f "$(VENV)/pyvenv.cfg" ]]; then rm -rf "$(VENV)"; fi
