# Two commands are all a fresh machine needs: `make demo` and `make test`.
PYTHON ?= python3
PY := .venv/bin/python
export PYTHONPATH := $(CURDIR)
# Caches stay in the project's folder, whichever command makes them.
export WORKER_CACHE ?= $(CURDIR)/.local/networks
export MPLCONFIGDIR ?= $(CURDIR)/.local/matplotlib

.DEFAULT_GOAL := help
.PHONY: chaos load audit deploy image destroy install-checkov help demo test up down status bench accuracy lint fmt docs site clean install-demo install-dev

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install-demo:
	@$(PYTHON) local_stack/bootstrap.py demo

install-dev:
	@$(PYTHON) local_stack/bootstrap.py dev

install-checkov:
	@$(PYTHON) local_stack/bootstrap.py checkov

demo: install-demo  ## play the main job on a real photo, from upload to answer
	@$(PY) -m local_stack demo

test: install-dev  ## run every test; ARGS="tests/unit -k retry" runs some
	@$(PY) -m pytest $(ARGS)

up: install-demo  ## start the local stack and leave it running
	@$(PY) -m local_stack up

# Stopping must work without a network, so nothing is installed for it.
down:  ## stop the local stack
	@if [ -x $(PY) ]; then $(PY) -m local_stack down; else echo "Nothing is installed."; fi

status: install-demo  ## list the parts of the local stack
	@$(PY) -m local_stack status

bench: install-dev  ## run the benchmarks; ARGS=end-to-end runs one
	@$(PY) -m benchmarks $(ARGS)

# DATA is a folder in LFW's form; JSON=<file> keeps every figure, ARGS="--profile accurate" more.
accuracy: install-dev  ## measure how often the worker is right; DATA=<folder> [JSON=<file>]
	@test -n "$(DATA)" || { echo "Say where the photos are: make accuracy DATA=<folder>"; exit 2; }
	@$(PY) -m benchmarks.accuracy "$(DATA)" $(if $(JSON),--json "$(JSON)") $(ARGS)

chaos: install-dev  ## break everything on purpose and count every photo (20 min); ARGS="--only database"
	@$(PY) -m tests.chaos $(ARGS)

load: install-dev  ## many users at once, held to limits; ARGS="stages --seconds 60"
	@$(PY) -m tests.load $(ARGS)

audit: install-dev  ## known vulnerabilities, and a list of all that is inside (.local/sbom.json)
	@$(PY) -m tests.security.audit

lint: install-dev install-checkov  ## ruff, mypy --strict, cfn-lint, checkov, shellcheck
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy .
	@.venv/bin/cfn-lint infra/*.yaml infra/*.json
	@.venv-checkov/bin/checkov --config-file .checkov.yaml --directory infra
	@git ls-files '*.sh' .ci/run | xargs .venv/bin/shellcheck

fmt: install-dev  ## format the code
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

# PARAMETERS="DatabaseClass=db.t4g.large AlarmMailTo=ops@example.org" sets some of infra/.
STAGE ?= prod
KIND ?= gpu
INFRA = $(PY) -m infra --stage $(STAGE) $(addprefix --parameter ,$(PARAMETERS))

deploy: install-dev  ## deploy a stage to AWS; STAGE=prod, PARAMETERS="NAME=VALUE ..."
	@$(INFRA) deploy

image: install-dev  ## have AWS build the workers' image; STAGE=prod, KIND=gpu or cpu
	@$(INFRA) --kind $(KIND) image

destroy: install-dev  ## delete a stage, photos and results included; STAGE=prod SURE=yes
	@test "$(SURE)" = yes || { echo "Deletes $(STAGE) and every photo in it; say SURE=yes."; exit 2; }
	@$(INFRA) destroy

docs: install-dev  ## write the reference pages of docs/ from the code
	@$(PY) -m docs.settings_table
	@$(PY) -m docs.api_reference
	@$(PY) -m docs.command_reference
	@$(PY) -m infra.watch
	@$(PY) -m infra.worker_policy

site: install-dev  ## build the documentation into .local/site
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "Look at it: python -m http.server -b 127.0.0.1 -d .local/site 8080"

clean: down  ## stop the local stack and remove everything that was installed or written
	rm -rf .venv .venv-emulator .venv-checkov .local .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf benchmarks/results .chalice/deployed .chalice/deployments
