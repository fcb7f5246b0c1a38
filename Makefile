# The whole lab in a box:   make up     (then: make down)
# Everything else is `hearth --help`, or the tools themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
CHECKOV := .venv-checkov

.DEFAULT_GOAL := help
.PHONY: help setup setup-cloud up down preview test unit lint drill bench lock clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /|/' | column -t -s '|'

setup: $(VENV)/.run ## Install Hearth, the Pulumi CLI, its language host, the docker plugin
	@$(BIN)/hearth setup

setup-cloud: $(VENV)/.cloud ## Install what stacks on AWS need: no docker plugin, no pyinfra
	@$(BIN)/hearth setup --cloud

up: setup ## Boot, bootstrap, provision and load-test the whole lab on this machine
	@$(BIN)/hearth up sandbox

down: $(VENV)/.run ## Stop the lab and remove every trace of it; the cache stays
	@$(BIN)/hearth down sandbox

STACK ?= sandbox
ENVIRONMENTS := $(basename $(notdir $(wildcard inventory/environments/*.yaml)))
preview: $(if $(filter $(STACK),$(ENVIRONMENTS)),setup-cloud,setup) ## Show what Pulumi would do; STACK=production
	@$(BIN)/hearth preview $(STACK)

test: setup $(VENV)/.dev lint unit ## Every check and test, the real lab included where it can run
	@$(BIN)/pytest -q -m e2e --durations=10 tests/tools tests/components tests/services tests/e2e

unit: setup-cloud $(VENV)/.dev $(CHECKOV)/.run ## The tests that need no machine
	@$(BIN)/pytest -q -n 2 -m "not e2e" --ignore tests/smoke --ignore tests/services/fixai
	@$(BIN)/pytest -q -n 2 --dist loadfile -m "not e2e" tests/services/fixai  # each a Kafka, a Cassandra
	@$(BIN)/pytest -q tests/smoke  # by itself: it measures times

lint: $(VENV)/.dev ## Formatting, lint, types, who may import whom
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

drill: setup ## Break the running lab in every way that it should bear, under load
	@$(BIN)/hearth smoke sandbox --drill all

bench: setup $(VENV)/.bench ## Time sites of 10 to 1,000 hosts, the load engine, FixAI and the bootstrap beside its peers
	@$(BIN)/python -m tests.bench
	@$(BIN)/python -m tests.bench_load
	@$(BIN)/python -m tests.bench_fixai
	@$(BIN)/python -m tests.bench_bootstrap

COMPILE := $(UV) pip compile --quiet pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header
COMPILE_RUN := $(COMPILE) --extra homelab --extra cluster --extra sandbox --extra install
COMPILE_IMAGE := $(UV) pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate
COMPILE_CLOUD := $(COMPILE) --extra production --extra install -c requirements/run.txt
IMAGES := sandbox/images/requirements
HUB := services/jupyterhub
lock: $(UV) ## Resolve the dependencies anew, into files without addresses
	@$(COMPILE_RUN) -o requirements/run.txt
	@$(COMPILE) --extra services -c requirements/run.txt -o services/requirements.txt
	@$(COMPILE) --extra fixai -c requirements/run.txt -c services/requirements.txt \
		-o services/fixai/requirements.txt
	@$(COMPILE_CLOUD) -o requirements/production.txt
	@$(COMPILE_RUN) --extra dev --extra services --extra fixai --extra production \
		-c requirements/run.txt -c services/requirements.txt -c services/fixai/requirements.txt \
		-c requirements/production.txt -o requirements/dev.txt
	@$(COMPILE_IMAGE) $(IMAGES)/pgadmin.in -o $(IMAGES)/pgadmin.txt
	@$(COMPILE_IMAGE) $(HUB)/requirements.in -o $(HUB)/requirements.txt
	@$(COMPILE) --extra bench -c requirements/dev.txt -o requirements/bench.txt
	@$(COMPILE_IMAGE) requirements/checkov.in -o requirements/checkov.txt
	@$(BIN)/python -m tools.jars

clean: ## Remove the environment and what was built in the checkout; not the cache
	rm -rf $(VENV) $(CHECKOV) build

# A stamp a set of packages: made again when its lock file changes.
$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hearth needs Python 3.11 or newer; set PYTHON=")'
	@echo "  python environment ($(VENV))"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $(UV)

$(VENV)/.run: requirements/run.txt pyproject.toml $(UV)
	@echo "  python packages (requirements/run.txt)"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/run.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.cloud: requirements/production.txt pyproject.toml $(UV)
	@echo "  python packages of stacks on AWS (requirements/production.txt)"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/production.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "  python packages for tests (requirements/dev.txt)"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	@echo "  python packages for benchmarks (requirements/bench.txt)"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/bench.txt
	@touch $@

# By itself: its dependencies are not to be had together with Hearth's.
$(CHECKOV)/.run: requirements/checkov.txt $(UV)
	@echo "  python packages for checkov (requirements/checkov.txt)"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(CHECKOV)
	@$(UV) pip install --quiet --python $(CHECKOV)/bin/python --require-hashes -r requirements/checkov.txt
	@touch $@
