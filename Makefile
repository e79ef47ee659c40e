# Every target sets itself up in $(VENV) with the versions that are tested; nothing else is needed but Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
ARGS ?=
# Three workers (the browsers' tests wait a lot), each with whole files, so that what a file sets up is set up once, and with
# one thread each, so that they do not take turns on the cores. JOBS= runs all in one process.
# The order is conftest's: the longest files first.
JOBS ?= -n 3 --dist loadfile --no-loadscope-reorder

PY := $(VENV)/bin/python
RUN_READY := $(VENV)/.ready-run
DEV_READY := $(VENV)/.ready-dev

.PHONY: run test long check lint fast bench clean help

help:
	@echo "make run [ARGS='--port 7861']   open the page"
	@echo "make check                      formatting, lint, types and the fast tests"
	@echo "make test                       all tests, with the real model and a real browser"
	@echo "make long                       checks at a size that CI has no time for"
	@echo "make bench                      speed of edits and answers, as ratios measured in one run"

run: $(RUN_READY)
	$(PY) app.py $(ARGS)

check: lint fast

lint: $(DEV_READY)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

fast: $(DEV_READY)
	$(PY) -m pytest $(JOBS) -m "not model and not browser and not gpu" $(ARGS)

test: $(DEV_READY)
	@$(PY) -m tests.chromium
	OMP_NUM_THREADS=1 $(PY) -m pytest $(JOBS) -m "not gpu and not long" $(ARGS)

long: $(DEV_READY)
	@$(PY) -m tests.chromium
	OMP_NUM_THREADS=1 $(PY) -m pytest $(JOBS) -m "long and not gpu" $(ARGS)

bench: $(RUN_READY)
	$(PY) -m sola_core speed $(ARGS)

$(RUN_READY): requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=..." if sys.version_info < (3, 11) else 0)'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet $(PIP_ARGS) -c constraints.txt -r requirements.txt
	touch $@

$(DEV_READY): $(RUN_READY) requirements-dev.txt
	$(PY) -m pip install --quiet $(PIP_ARGS) -c constraints.txt -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
