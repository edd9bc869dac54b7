# Every target sets up what it needs; stamp files make a second run start at once.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := bin/python -m pip install --quiet --disable-pip-version-check
INSTALL := $(VENV)/$(PIP) --editable

# Every Python that the targets start reads compiled modules instead of compiling them again.
unexport PYTHONDONTWRITEBYTECODE

# Tests wait more than they compute: two of them for each core.
JOBS ?= $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2))))

# The peers have environments of their own: their versions exclude each other's redis-py.
PEERS := .venv-peers

.PHONY: help demo test test-adapters test-adapters-all environment check format faults simulate soak load mutants fuzz \
	bench bench-core bench-peers bench-scale docs clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 14

demo: $(VENV)/.embedded  ## three workers share three slots; one is killed (about 20 s)
	$(BIN)/loco-redis demo

test: $(VENV)/.dev  ## the whole test suite, on real servers it starts itself
	$(BIN)/python -m pytest -m "not alone" --numprocesses $(JOBS) --dist worksteal $(TESTS)
	$(BIN)/python -m pytest -m alone $(TESTS) || test $$? -eq 5  # 5: none of $(TESTS) is

test-adapters: $(VENV)/.dev  ## the adapters of frameworks, each in an environment of its own: GROUP=langchain
	$(BIN)/python -m tests.frameworks $(GROUP)

test-adapters-all: $(VENV)/.dev  ## the heavy ones too; writes the table of docs/adapters.md
	$(BIN)/python -m tests.frameworks --all --write

environment: $(VENV)/.dev  ## what the tests need, without running them

check: $(VENV)/.dev  ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

faults: $(VENV)/.dev  ## every fault of docs/reliability.md, whose table is written anew
	$(BIN)/python docs/reliability.py

simulate: $(VENV)/.dev  ## the client against the model on a virtual clock: SEEDS=100000
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),10000)

soak: $(VENV)/.dev  ## eight processes under all faults at random: MINUTES=60 SEED=7
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

load: $(VENV)/.dev  ## 1,000 concurrent acquires in each of eight processes: MINUTES=5
	$(BIN)/python -m tests.soak.load --minutes $(or $(MINUTES),5)

mutants: $(VENV)/.dev  ## broken patches, each of which a named test must catch
	$(BIN)/python -m tests.mutants

fuzz: $(VENV)/.fuzz  ## hostile input for everything that reads any: SECONDS=300
	$(BIN)/python -m tests.security.fuzz --seconds $(or $(SECONDS),60)

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
	rm -rf $(VENV) $(PEERS) .venv-adapters build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache

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
