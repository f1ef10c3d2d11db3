# Two commands from a fresh clone, with Python >= 3.11 and make only: `make study` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
unexport PYTHONDONTWRITEBYTECODE


.PHONY: study test test-fast canary check bench studies pictures ui clean

study: $(INSTALLED)  ## search scikit-learn's digits, show the leaderboard and where to look next
	$(BIN)/hpsearch run studies/digits.toml

test: $(INSTALLED)  ## the whole test suite
	$(BIN)/python -m pytest $(ARGS)

test-fast: $(INSTALLED)  ## the tests that take less than some seconds each: under 2 minutes in all
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile $(ARGS)

canary:  ## the tests of the seams with the newest Optuna, MLflow, Keras and JAX, whatever the bounds in pyproject.toml say
	$(PYTHON) -m venv .venv-canary
	.venv-canary/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	.venv-canary/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps optuna mlflow mlflow-skinny mlflow-tracing keras jax jaxlib
	.venv-canary/bin/python -m pip check || true
	.venv-canary/bin/python -m pytest -n auto --dist loadfile -q tests/ledger tests/tracking tests/engines tests/models tests/tuners $(ARGS)

check: $(INSTALLED)  ## lint, format, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(INSTALLED)  ## browse what was recorded
	$(BIN)/hpsearch ui

bench: $(INSTALLED)  ## the comparison with peers, into docs/performance.md (hours on 2 cores; `python -m benchmarks.peers --help`)
	$(BIN)/python -m benchmarks.driver_cost
	$(BIN)/python -m benchmarks.pruning
	$(BIN)/python -m benchmarks.pruning --bundle 8
	$(BIN)/python -m benchmarks.racing_error_rate
	$(BIN)/python -m benchmarks.lane_throughput
	$(BIN)/python -m benchmarks.peers --peer-trials 6 --write docs/performance.md

studies: $(INSTALLED)  ## all documented studies, into docs/results.md (needs their data, see docs/models-and-data.md)
	$(BIN)/python -m benchmarks.documented --write docs/results.md

pictures: $(INSTALLED)  ## screenshots for README and docs (needs chromium)
	$(BIN)/python -m benchmarks.pictures

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hpsearch needs Python >= 3.11, but $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

clean:  ## remove the environment and caches; never mlruns
	rm -rf $(VENV) .venv-canary build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
