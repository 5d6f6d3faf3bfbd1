# Everything runs in .venv, which `make` builds by itself from Python 3.10 or later. Nothing global is touched.
#   make demo          the checkout: six services, one trace
#   make test          the tests
#   make test-lowest   the tests, with the lowest OpenTelemetry that is supported
#   make check         all that a change must pass
#   make compat        the matrix of libraries, servers and versions, half an hour; writes compat_matrix.md
#   make compat-whole  the same with all tests for each Python and SDK, an hour more
#   make compat-ci     what CI runs of it, beside the tests
#   make bench         what everything costs, beside the peers; ARGS=--quick, ARGS="spans export"
#   make bench-startup what `ot-bridge run` adds to the start of a program
#   make soak          ten minutes at the highest rate while the collector misbehaves; ARGS="--minutes 30"
#   make fuzz          a minute of fuzzing every decoder; ARGS="--seconds 600" for ten
# Arguments go into ARGS: make demo ARGS=--keep, make test ARGS="-k config -x".

SHELL := /bin/sh
VENV  := .venv
BIN   := $(VENV)/bin

# The first one that is new enough; `make PYTHON=python3.12 test` takes another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$python" && break; done)

# The lower end of the range in pyproject.toml, and the official shim of that time.
LOWEST      := $(shell sed -n 's/.*"opentelemetry-sdk>=\([0-9.]*\),.*/\1/p' pyproject.toml).0
LOWEST_SHIM := 0.$(shell expr $(word 2,$(subst ., ,$(LOWEST))) + 21)b0

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_USE_PEP517 := 1

.PHONY: help demo test test-lowest lint format check compat compat-ci compat-whole bench bench-startup soak fuzz matrix clean

help:
	@sed -n '/^#   make/s/^#   //p' Makefile

demo: $(VENV)/.demo
	@$(BIN)/ot-bridge demo $(ARGS)

# Files are shared out between two processes, but not when ARGS may want to see one: --pdb, -s, -x.
test: $(VENV)/.dev
	@$(BIN)/python -m pytest $(or $(ARGS),--numprocesses=2 --dist=loadfile)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir $(VENV)/.import_linter

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The tests also run every example and compare compat_matrix.md with what is printed.
check: lint
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Each session in an environment of its own, see noxfile.py. When one fails nothing is written; `nox -s NAME` runs it
# again, and the last two lines do the rest.
compat compat-whole: $(VENV)/.dev
	rm -rf .compat
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/nox $(ARGS) --tags all $(if $(findstring whole,$@),whole)
	$(BIN)/python tests/compat/merge.py --fresh
	$(MAKE) matrix

compat-ci: $(VENV)/.dev
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/nox $(ARGS) --tags ci

matrix: $(VENV)/.dev
	$(BIN)/ot-bridge matrix > compat_matrix.md.new
	mv compat_matrix.md.new compat_matrix.md

bench: $(VENV)/.dev
	@$(BIN)/python benchmarks $(ARGS)

bench-startup: $(VENV)/.dev
	@$(BIN)/python benchmarks/startup.py

soak: $(VENV)/.dev
	@PYTHONPATH="benchmarks$${PYTHONPATH:+:$$PYTHONPATH}" $(BIN)/python -m soak $(ARGS)

# Where atheris does not install the target says so and ends well.
fuzz: $(VENV)-fuzz/.dev
	@$(VENV)-fuzz/bin/python fuzz/decoders.py $(ARGS)

test-lowest: $(VENV)-lowest/.dev
	@$(VENV)-lowest/bin/python -m pytest $(ARGS)

clean:
	rm -rf $(VENV) $(VENV)-fuzz $(VENV)-lowest .nox .compat

define venv
	@test -n "$(PYTHON)" || { echo "ot_bridge needs Python 3.10 or later; say which: make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(1)/bin/pip || $(PYTHON) -m venv $(1) || { rm -rf $(1); \
		echo "$(PYTHON) cannot make virtual environments (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "installing into $(1) ..."
endef

$(VENV)/.demo: pyproject.toml
	$(call venv,$(VENV))
	@$(BIN)/pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml
	$(call venv,$(VENV))
	@$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)-lowest/.dev: pyproject.toml
	$(call venv,$(VENV)-lowest)
	@$(VENV)-lowest/bin/pip install --quiet --editable '.[bench,test]' \
		opentelemetry-api==$(LOWEST) opentelemetry-sdk==$(LOWEST) opentelemetry-exporter-otlp==$(LOWEST) \
		opentelemetry-opentracing-shim==$(LOWEST_SHIM)
	@touch $@

$(VENV)-fuzz/.dev: pyproject.toml
	$(call venv,$(VENV)-fuzz)
	@$(VENV)-fuzz/bin/pip install --quiet --editable '.[cli]'
	@$(VENV)-fuzz/bin/pip install --quiet 'atheris>=2.3,<4' || echo "atheris does not install here: see fuzz/decoders.py"
	@touch $@
