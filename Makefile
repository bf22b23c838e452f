# Everything is set up by the target that needs it: a virtual environment in .venv, the packages that
# requirements/*.lock pin by hash, and this project's own wheel. Only make and Python 3.11+ are assumed.
#
#   make run      everything in one command, on http://127.0.0.1:8080 (ARGS="..." is passed on)
#   make test     the whole suite, against the built wheel (ARGS="-k name -x" is passed on to pytest)
#   make check    format, lint, types, front ends, deployment files
#   make bench    measurements; QUICK=1 for a smoke run, ARGS="intake consumer" for some sections
#   make soak     random faults: ROUNDS of them, from SEED
#   make clean    removes all that was built here; data is never touched

.DEFAULT_GOAL := run
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: run test check bench soak clean

# Settings of the caller's own Python that would lead past .venv.
unexport PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_HASHES
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export QUICK ROUNDS SEED

VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
PIP_INSTALL := $(PYTHON_IN_VENV) -m pip install --quiet --require-hashes
UNBUILT := \( -name node_modules -o -name dist -o -name __pycache__ -o -path src/portfolio_analytics/web \) -prune -o
# Folders too: a folder is newer than the wheel when a file in it was removed.
SOURCES := $(shell find src web $(UNBUILT) \( -type f -o -type d \) -print 2>/dev/null)

run: $(VENV)/.installed
	@$(PYTHON_IN_VENV) -m portfolio_analytics run $(ARGS)

test: $(VENV)/.development $(VENV)/.installed
	@$(PYTHON_IN_VENV) -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder $(ARGS)

check: $(VENV)/.development
	@scripts/check

bench: $(VENV)/.development $(VENV)/.installed
	@$(PYTHON_IN_VENV) -m bench $(ARGS)

soak: $(VENV)/.development $(VENV)/.installed
	@$(PYTHON_IN_VENV) -m pytest -m soak $(ARGS)

clean:
	@rm -rf $(VENV) build src/portfolio_analytics/web web/*/node_modules web/*/dist
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find src tests bench scripts -name __pycache__ -type d -exec rm -rf {} + 2>/dev/null || true

$(VENV)/.made: scripts/find-python
	$(eval FOUND := $(shell sh scripts/find-python))
	$(if $(filter /%,$(FOUND)),,$(error $(FOUND)))
	@echo "Making $(VENV) with $(FOUND)"
	@rm -rf $(VENV)
	@"$(FOUND)" -m venv $(VENV)
	@touch $@

$(VENV)/.packages: requirements/runtime.lock requirements/build.lock | $(VENV)/.made
	@echo "Installing the pinned packages"
	@$(PIP_INSTALL) -r requirements/runtime.lock -r requirements/build.lock
	@touch $@

# requirements/dev.lock holds the other two.
$(VENV)/.development: requirements/dev.lock | $(VENV)/.made
	@echo "Installing the pinned packages for development"
	@$(PIP_INSTALL) -r requirements/dev.lock
	@touch $@ $(VENV)/.packages

build/wheel/.made: $(SOURCES) pyproject.toml hatch_build.py README.md LICENSE | $(VENV)/.packages
	@echo "Building the wheel"
	@rm -rf build/wheel
	@$(PYTHON_IN_VENV) -m hatchling build --target wheel --directory build/wheel
	@touch $@

$(VENV)/.installed: build/wheel/.made $(VENV)/.packages
	@$(PYTHON_IN_VENV) -m pip install --quiet --no-index --no-deps --force-reinstall build/wheel/*.whl
	@touch $@
