PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test servers lint bench images images-check clean

# Installs everything, makes a small video data set and runs the main pipeline end to end.
demo: $(INSTALLED)
	$(BIN)/trainyard demo

# Everything that CI runs: lint, types, unit, integration and end-to-end tests.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Real servers for the tests, built once into a versioned cache ($$TRAINYARD_SERVERS).
servers: $(INSTALLED)
	sh tests/build_servers.sh
	PYTHON=$(BIN)/python sh tests/build_tritonserver.sh
	sh tests/build_postgres.sh

# Speed, as ratios against a named alternative in the same run.
bench: $(INSTALLED)
	@for bench in tests/benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

# Container images, with docker, podman or buildah: make images IMAGES="data torch" REGISTRY=… PUSH=1
images:
	@PYTHON=$(PYTHON) sh images/build.sh $(IMAGES)

# The same installs and smoke commands in clean venvs, one after the other, without an engine.
images-check:
	@PYTHONPATH=. $(PYTHON) tests/check_images.py $(IMAGES)

clean:
	rm -rf .demo .trainyard .mypy_cache .ruff_cache .pytest_cache build *.egg-info

$(INSTALLED): setup.cfg constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=python3.11"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
