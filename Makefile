# Every target sets up what it needs; stamp files make a second run start at once.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := bin/python -m pip install --quiet --disable-pip-version-check
INSTALL := $(VENV)/$(PIP) --editable

# The peers have environments of their own: their versions exclude each other's redis-py.
PEERS := .venv-peers

.PHONY: help demo test check format bench bench-core bench-peers bench-scale docs clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 14

demo: $(VENV)/.embedded  ## three workers share three slots; one is killed (about 20 s)
	$(BIN)/loco-redis demo

test: $(VENV)/.dev  ## the whole test suite, on real servers it starts itself
	$(BIN)/python -m pytest

check: $(VENV)/.dev  ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench  ## load from four hosts of two workers, a worker killed every 10 s: report in build/bench
	$(BIN)/loco-redis bench run --hosts 4 --kill-every 10s --lease 3s --out build/bench

bench-core: $(VENV)/.dev  ## the scripts and the client against their bounds (docs/benchmarks.md)
	$(BIN)/python -m benchmarks

bench-peers: $(PEERS)/.made  ## the same work done with what people would use instead
	$(PEERS)/bin/python -m benchmarks.peers

bench-scale: $(VENV)/.dev  ## one server to its limit, a large state, a cluster
	$(BIN)/python -m benchmarks.scale

docs: $(VENV)/.dev  ## write docs/cli.md and the pictures anew
	$(BIN)/python docs/cli_reference.py
	$(BIN)/python docs/pictures.py
	$(BIN)/python docs/plots.py

clean:  ## remove the environment, caches and builds
	rm -rf $(VENV) $(PEERS) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python >= 3.11 with venv is needed: install it, or run make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(PEERS)/.made: pyproject.toml $(wildcard benchmarks/peers/requirements*.txt)
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/$(PIP) --editable '.[embedded]' --requirement benchmarks/peers/requirements.txt
	for home in redis7 redis5; do $(PYTHON) -m venv $(PEERS)/$$home && \
		$(PEERS)/$$home/$(PIP) --requirement benchmarks/peers/requirements-$$home.txt || exit 1; done
	@touch $@

# One stamp per set of extras, renewed when the dependencies change.
$(VENV)/.%: pyproject.toml | $(BIN)/python
	$(INSTALL) '.[$*]'
	@touch $@
