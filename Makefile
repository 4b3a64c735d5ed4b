# Each target does its own set-up: a machine with Python (3.10 or later) and pip is enough.
PYTHON ?= python3
VENV := .venv
DLCTPM := $(VENV)/bin/dlctpm

.PHONY: demo test test-long fuzz lint benchmark gui clean

demo: $(VENV)/.installed
	$(DLCTPM) demo --out dlctpm-demo

# Two processes of one thread each: with more, the threads wait for each other.
test: $(VENV)/.installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -m "not long" -n 2 --dist loadfile

test-long: $(VENV)/.installed-test
	$(VENV)/bin/python -m pytest

# Damaged files of every format into every reader, for an hour (FUZZ_SECONDS).
fuzz: $(VENV)/.installed-test
	FUZZ_SECONDS=$${FUZZ_SECONDS:-3600} $(VENV)/bin/python -m pytest -s Testing/Python/engine/volumes/test_fuzz_readers.py

lint: $(VENV)/.installed-test
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

benchmark: $(VENV)/.installed
	$(DLCTPM) benchmark --out dlctpm-benchmark

# The Slicer panel on its stand-in, beside real slice views, with a virtual patient. GUI="CT --spect SPECT" opens your
# own files, GUI="--screenshot PICTURE.png" needs no display.
gui: $(VENV)/.installed-test
	$(VENV)/bin/python Testing/SlicerStandIn/gui.py $(GUI)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt torch
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[test,slicer,cluster,node]"
	@touch $@

clean:
	rm -rf $(VENV) dlctpm-demo dlctpm-benchmark build dist
