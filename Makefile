# In a fresh clone, with only Python >= 3.11 and make: run `make study` or `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
unexport PYTHONDONTWRITEBYTECODE

.PHONY: study test test-fast faults check-estimator fuzz-engine canary check bench studies pictures ui clean

study: $(INSTALLED)  ## search scikit-learn's digits and show the leaderboard
	$(BIN)/hpsearch run studies/digits.toml

test: $(INSTALLED)  ## run the whole test suite
	$(BIN)/python -m pytest $(ARGS)

test-fast: $(INSTALLED)  ## run the tests without the slow ones, in less than 2 minutes
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile $(ARGS)

check-estimator: $(INSTALLED)  ## run all of scikit-learn's checks on KerasSearchCV (some minutes)
	for task in classification regression; do KERAS_BACKEND=tensorflow $(BIN)/python -m tests.scikit_learn.linear $$task || exit 1; done

N ?= 300
SEED ?= 0
fuzz-engine: $(INSTALLED)  ## train N random models from SEED on with the fused engine and with fit, and compare them
	$(BIN)/python -m tests.engines.fuzzing --cases $(N) --seed $(SEED)

faults: $(INSTALLED)  ## hurt some 340 studies, and 11,000 study and data files, in every way we know (about 20 minutes on 2 cores)
	$(BIN)/python -m tests.faults --write docs/reliability.md
	$(BIN)/python -m tests.faults.loads --studies 10000 --data 1000

canary:  ## test the newest Optuna, MLflow, Keras and JAX, beyond the bounds in pyproject.toml
	$(PYTHON) -m venv .venv-canary
	.venv-canary/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	.venv-canary/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps optuna mlflow mlflow-skinny mlflow-tracing keras jax jaxlib
	.venv-canary/bin/python -m pip check || true
	.venv-canary/bin/python -m pytest -n auto --dist loadfile -q tests/ledger tests/tracking tests/engines tests/models tests/tuners $(ARGS)

check: $(INSTALLED)  ## check lint, format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(INSTALLED)  ## serve the MLflow pages of all studies
	$(BIN)/hpsearch ui

bench: $(INSTALLED)  ## write docs/performance.md (takes hours on 2 cores; see `python -m benchmarks.peers --help`)
	$(BIN)/python -m benchmarks.driver_cost
	$(BIN)/python -m benchmarks.pruning
	$(BIN)/python -m benchmarks.pruning --bundle 8
	$(BIN)/python -m benchmarks.racing_error_rate
	$(BIN)/python -m benchmarks.lane_throughput
	$(BIN)/python -m benchmarks.peers --peer-trials 6 --write docs/performance.md

studies: $(INSTALLED)  ## run all documented studies and write docs/results.md (needs their data, see docs/models-and-data.md)
	$(BIN)/python -m benchmarks.documented --write docs/results.md

pictures: $(INSTALLED)  ## take the screenshots of README and docs (needs Chromium)
	$(BIN)/python -m benchmarks.pictures

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hpsearch needs Python >= 3.11, but $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

clean:  ## remove environments and caches, but keep mlruns
	rm -rf $(VENV) .venv-canary build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
