# Everything happens in .venv, which is made and filled as needed. PYTHON=python3.12 chooses another.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: train test bench guard gpu lint format clean

train: .venv/.library
	$(BIN)/scratchnet train

test: .venv/.test
	$(BIN)/python -m pytest -q

bench: .venv/.bench
	$(BIN)/python -m benchmarks

# Fails where an epoch has become slower than it may be, beside its products and the same written by hand.
guard: .venv/.test
	$(BIN)/python -m benchmarks --quick

# No network, no install: it runs with the Python and the packages that are there.
gpu:
	$(PYTHON) -m benchmarks.gpu $(ARGUMENTS)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.library: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/.%: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@
