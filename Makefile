# Every target does its own set-up: `make test` and `make demo` work on a clean checkout.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PROFILE ?= both
CLUSTER ?=
NAME ?= dev

.PHONY: help install crds crds-check pod-schema lint format types layers unit property integration e2e-fake e2e-real chart test bench bench-plan cluster cluster-down kubectl demo clean

help: ## Show the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.installed: pyproject.toml requirements-dev.lock
	@echo "== installing into .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes -r <(sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.lock)
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes -r requirements-dev.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps -e .
	@touch $@

install: .venv/.installed ## Make .venv with the command .venv/bin/cardpool

crds: install ## Write crds/ and the chart's copies from the models
	@$(BIN)/python -m cardpool.api.crds --write crds
	@$(BIN)/python -m cardpool.api.reference --write docs/reference.md
	@mkdir -p helm/cardpool/files/crds && cp crds/*.yaml helm/cardpool/files/crds/

crds-check: install ## Fail where crds/ or the chart differ from the models
	@$(BIN)/python -m cardpool.api.crds --check crds
	@diff -r crds helm/cardpool/files/crds

pod-schema: install ## Take the pod template's schema from the pinned Kubernetes module
	@$(BIN)/python -m cardpool.api.podtemplate --source "$$(cd e2e/controlplane && go list -m -f '{{.Dir}}' k8s.io/kubernetes)/api/openapi-spec/v3/api__v1_openapi.json"

format: install ## Format the code
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

lint: install ## Format check and lint
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: install ## Types, strict
	@$(BIN)/mypy

layers: install ## Import contracts
	@$(BIN)/lint-imports

unit: install ## Unit tests
	@$(BIN)/pytest tests/unit

property: install ## Property tests
	@$(BIN)/pytest tests/property

integration: install ## Tests on a real control plane
	@$(BIN)/pytest tests/integration

e2e-fake: install ## Scenarios on fake nodes
	@$(BIN)/pytest -n 3 --dist loadfile tests/e2e

e2e-real: install ## Scenarios on real nodes (root, Linux)
	@$(BIN)/pytest tests/real

test: install ## Everything that CI runs
	@$(BIN)/python -m tests.stages

bench: install ## Figures of speed against a floor of the same run
	@$(BIN)/python -m e2e.bench $(ARGS)

bench-plan: install ## The same of the planner alone and of a million cards in files (no cluster)
	@$(BIN)/python -m e2e.bench.engine $(ARGS)
	@$(BIN)/python -m e2e.bench.load $(ARGS)

cluster: install ## Start the development cluster (PROFILE=fake|real|both, NAME=dev)
	@$(BIN)/python -m e2e.cluster up --name $(NAME) --profile $(PROFILE)

cluster-down: install ## Stop it, leaving nothing behind
	@$(BIN)/python -m e2e.cluster down --name $(NAME)

kubectl: install ## kubectl on the development cluster: make kubectl ARGS="get nodes"
	@$(BIN)/python -m e2e.cluster kubectl --name $(NAME) $(ARGS)

demo: install ## Train for real, break a card, watch the gang resume (CLUSTER=current: the present KUBECONFIG)
	@$(BIN)/python -m e2e.demo $(if $(CLUSTER),--cluster $(CLUSTER)) $(ARGS)

clean: ## Remove what this checkout made (clusters first)
	@test ! -x $(BIN)/python || $(BIN)/python -m e2e.cluster down --name $(NAME)
	@rm -rf .venv .build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
