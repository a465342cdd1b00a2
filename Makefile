# HeteroLLM. `make help` lists what can be done.
SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed-$(shell cat requirements/dev.txt pyproject.toml | sha256sum | cut -c1-16)
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help venv check lint types unit test generate lock clean

help: ## List the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

venv: $(STAMP) ## Make the virtual environment from the hashed lock
$(STAMP): requirements/dev.txt pyproject.toml
	@bash requirements/make-venv.sh $(VENV)
	@rm -f $(VENV)/.installed-* && touch $@

lint: venv ## Style, import contract
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	PYTHONPATH=operator:controllers $(VENV)/bin/lint-imports

types: venv ## Strict types
	$(VENV)/bin/mypy

generate: venv ## Regenerate the committed generated files (CRD, install manifests)
	PYTHONPATH=operator:controllers $(PY) -m heterollm_operator.cli crd > crds/heterollmclusters.yaml

lock: ## Recompile the hashed locks from requirements/*.in
	cd requirements && for f in runtime dev; do \
	  ../$(VENV)/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal \
	    --python-version 3.11 $$f.in -o $$f.txt; done

clean: ## Remove the virtual environment and caches of this checkout
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis .state
