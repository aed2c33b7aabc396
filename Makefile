# Two commands are all a fresh machine needs: `make demo` and `make test`.
PYTHON ?= python3
PY := .venv/bin/python
export PYTHONPATH := $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help demo test up down bench lint fmt deploy clean install-demo install-dev

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install-demo:
	@$(PYTHON) local_stack/bootstrap.py demo

install-dev:
	@$(PYTHON) local_stack/bootstrap.py dev

demo: install-demo  ## play the main job on a real photo, from upload to answer
	@$(PY) -m local_stack demo

test: install-dev  ## run every test
	@$(PY) -m pytest $(ARGS)

up: install-demo  ## start the local stack and leave it running
	@$(PY) -m local_stack up

down: install-demo  ## stop the local stack
	@$(PY) -m local_stack down

bench: install-dev  ## run the benchmarks
	@$(PY) -m benchmarks

lint: install-dev  ## ruff, mypy, cfn-lint, shellcheck
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy .
	@.venv/bin/cfn-lint infra/*.yaml
	@.venv/bin/shellcheck .ci/run

fmt: install-dev  ## format the code
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

clean:  ## remove everything that was installed or written
	rm -rf .venv .venv-emulator .local .mypy_cache .ruff_cache .pytest_cache .hypothesis
