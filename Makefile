# `make` prints what there is. Nothing here needs root, Docker (but for compose-test) or a system service.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_ARGS ?=
# Processes of `make test`: a file of tests stays within one, and so do the servers it shares. One more than the cores of
# a small machine, because tests of whole stacks wait much of the time.
TEST_PROCESSES ?= 3
# XLA compiles for speed of compiling: the suite trains little. `make test-slow` and workers compile for speed of training.
TEST_XLA_FLAGS ?= --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true

# The suite starts a hundred Python processes: what one has compiled, the next ones read.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup check format test test-slow test-browser demo up bench compose-test dist sbom lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## the environment: .venv with pinned packages and the gradus command

# Any CPython 3.11 to 3.13 that has SQLite, TLS, and pip or ensurepip; PYTHON=... names another.
$(READY): requirements/dev.txt requirements/uv.txt requirements/environment.py pyproject.toml
	@found="$(PYTHON)"; \
	for candidate in python3.12 python3.13 python3.11 python3 python; do \
	  if [ -n "$$found" ]; then break; fi; \
	  if $$candidate requirements/environment.py --suits >/dev/null 2>&1; then found=$$candidate; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "make setup: found no Python 3.11, 3.12 or 3.13 with sqlite3, ssl and pip or venv." >&2; \
	  echo "Install one (Debian: python3 with python3-venv), or name one: make setup PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	$$found requirements/environment.py

check: setup ## lint, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## let ruff format and repair what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup ## the whole suite that needs neither Docker nor a browser
	XLA_FLAGS="$(TEST_XLA_FLAGS)" $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --ignore tests/browser -m "not slow and not compose" $(PYTEST_ARGS)

test-slow: setup ## the tests that take minutes
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

# Two processes: one for the pages over made-up results, one for those of a whole stack, which is started once.
test-browser: setup ## the tests in Chromium
	@XLA_FLAGS="$(TEST_XLA_FLAGS)" $(BIN)/python -m pytest tests/browser -n 2 --dist loadfile -m "browser and not slow" $(PYTEST_ARGS); status=$$?; \
	if [ $$status -eq 5 ]; then echo "make test-browser: there are no browser tests yet"; else exit $$status; fi

demo: setup ## a whole comparison on this machine; DEMO_EXIT=1 ends after printing it
	$(BIN)/python -m gradus.cli.demo $(if $(DEMO_EXIT),--exit)

up: setup ## the service on this machine, until Ctrl-C
	$(BIN)/gradus up

bench: setup ## the measurements that the documentation quotes
	@for file in bench/*.py; do name=$$(basename $$file .py); echo "== $$name"; $(BIN)/python -m bench.$$name || exit 1; done

compose-test: setup ## build, start, test and remove the compose stack; needs Docker
	$(BIN)/python tests/e2e/compose.py

dist: setup ## the wheel, in dist/
	rm -rf build dist
	.uv/bin/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist
	@ls dist/*.whl

sbom: setup ## the Python packages of every image with their hashes (CycloneDX), in dist/sbom
	$(BIN)/python requirements/environment.py --sbom

lock: setup ## pin every version anew (needs the network)
	$(BIN)/python requirements/environment.py --lock

clean: ## remove the environment and every cache
	rm -rf $(VENV) .uv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-output
