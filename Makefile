# HeteroLLM. `make help` lists what can be done.
SHELL := /bin/bash
VENV ?= .venv
PY := PYTHONPATH=. $(VENV)/bin/python
PY_ALL := PYTHONPATH=.:engine-image:router-image/agent $(VENV)/bin/python
MUTANTS := $(or $(HETEROLLM_CACHE),$(HOME)/.cache/heterollm)/mutants-$(shell sha256sum < requirements/mutants.txt | cut -c1-12)
STAMP := $(VENV)/.installed-$(shell cat requirements/dev.txt pyproject.toml | sha256sum | cut -c1-16)
DOCS_STAMP := $(VENV)/docs/.installed-$(shell sha256sum requirements/docs.txt | cut -c1-16)
ENGINE ?= simulated
STEER ?= 1
TEXT ?= What is 2 + 2?
CHECKOUT ?= .
export PYTHONUNBUFFERED := 1
# Many tests start processes, which would compile the same code again and again.
unexport PYTHONDONTWRITEBYTECODE
# Tests by several workers, in the groups and the order of conftest.py.
SIDE_BY_SIDE := --no-loadscope-reorder -n

.DEFAULT_GOAL := help
.PHONY: help venv docs demo demo-down ask test lint types unit tools monitoring generate golden lock e2e-sglang e2e-steering soak bench-reconcile e2e-migration \
	bench-engine-sim bench-sizing bench-steering flags oracle gpu-check hostile simulate-properties simulate-migrations policies bench-router bench-affinity bench-policy structure mutants clean

help: ## List the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

demo: venv ## Everything on an embedded Kubernetes, end to end (as root); STEER=0: the quick look; ENGINE=sglang: the real SGLang
	@$(PY) -m e2e.demo up --engine $(ENGINE) --steer $(STEER)

ask: venv ## One chat request to the running demo: make ask TEXT='...'
	@$(PY) -m e2e.demo ask $(call quote,$(TEXT))

demo-down: venv ## Remove everything the demo started
	@$(PY) -m e2e.demo down

# One worker more than cores of a small machine: those with the node and with a control plane mostly wait.
test: venv ## All tests that must pass: style, types, units, a real API server, a real node
	@$(MAKE) --no-print-directory -j2 lint types tools
	$(PY) -m pytest $(SIDE_BY_SIDE) 3

lint: venv ## Style and import contract
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	PYTHONPATH=operator:controllers $(VENV)/bin/lint-imports

types: venv ## Strict types
	$(VENV)/bin/mypy

unit: venv monitoring ## The tests that need neither a control plane nor root, in a minute or two
	$(PY) -m pytest $(SIDE_BY_SIDE) 2 -m 'not apiserver and not node'

tools: venv monitoring ## Get what the tests run: the embedded Kubernetes (built, cached by content) and Prometheus
	@$(PY) -m e2e.cluster build

monitoring: venv ## Fetch Debian's Prometheus and Alertmanager into the cache; they are not installed
	@$(PY) -m e2e.monitoring.binaries

mutants: $(MUTANTS)/.installed ## Mutation tests (hours; goes on where it was); ONLY=traffic for a part, SAMPLE=400 SEED=1 for so many
	@PYTHONPATH=. nice -n 10 $(MUTANTS)/bin/python -m tests.mutation \
	  $(if $(ONLY),--only $(ONLY)) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS))

$(MUTANTS)/.installed: requirements/mutants.txt | venv
	@rm -rf $(@D) && $(VENV)/bin/uv venv -q --python $(VENV)/bin/python $(@D)
	@$(VENV)/bin/uv pip install -q --python $(@D)/bin/python --require-hashes -r $< && touch $@

generate: venv ## Regenerate the committed generated files: CRD, chart copy, dashboards, plain manifests, pages of the docs
	$(VENV)/bin/heterollm crd > crds/heterollmclusters.yaml
	$(PY) -m helm.dashboards
	$(PY) -m helm.render
	$(PY) -m hack.api_reference
	$(PY) -m tests.core.rolling_page

golden: venv ## Record the golden files anew: rendered objects, policies, status, simulations; read the diff
	$(PY) -m tests.golden.record

e2e-sglang: venv ## The real SGLang answers on both tiers, through the routing Service (as root, about 31 GB of disk at first)
	$(PY) -m pytest e2e/sglang -v

e2e-steering: venv tools ## A spike, a broken tier and its repair by a real Prometheus; STEERING_CHART=FILE draws it (as root)
	$(PY) -m pytest e2e/steering -v -s

e2e-migration: venv tools ## A whole migration from a service outside, with a bad model on the way; MIGRATION_REPORT=FOLDER keeps its report (25 minutes, as root)
	$(PY) -m pytest e2e/migration -v -s

soak: venv tools ## Ten minutes of a steady cluster with forced looks: not one write
	SOAK_SECONDS=600 $(PY) -m pytest tests/apiserver/test_steady.py -v

hostile: venv ## 100,000 hostile requests to the router (five minutes)
	HOSTILE_REQUESTS=100000 $(PY) -m pytest tests/router/test_hostile.py -k generated -v

policies: venv ## 10,000 generated policies, each accepted by the real Envoy (ten minutes)
	POLICIES=10000 $(PY) -m pytest tests/router/test_policies_are_accepted.py -k generated -v

simulate-properties: venv ## Two million simulated ticks of arbitrary clusters, traffic and faults (an hour or two)
	SIMULATED_TICKS=2000000 $(PY) -m pytest tests/simulation/test_steering_properties.py \
		tests/simulation/test_fallback_does_no_harm.py -v

simulate-migrations: venv ## 2,000 virtual migrations of each kind: how often a gate opens or closes wrongly (ten minutes)
	MIGRATIONS=2000 $(PY) -m pytest tests/steering/test_migration_gates.py -v -s

bench-router: venv ## The router beside plain Envoy and other gateways, in one run
	@$(PY_ALL) -m e2e.bench.router

bench-affinity: venv ## Cached prompts with our balancing, ring hash, least requests and random
	@$(PY_ALL) -m e2e.bench.affinity

bench-policy: venv tools ## From a changed policy on a real API server to the last of five routers
	@$(PY_ALL) -m e2e.bench.policy_change

bench-reconcile: venv tools ## 200 clusters applied at once, beside a plain server-side-apply loop
	@$(PY) -m e2e.bench.reconcile

flags: venv ## Regenerate the flag catalogues from the SGLang releases themselves (about 7 GB of disk)
	@$(PY) engine-image/oracle/record.py flags

oracle: venv ## Run SGLang's own resolver and model classes again and compare with the records
	@$(PY) engine-image/oracle/record.py flags resolver memory --check

gpu-check: venv ## On an NVIDIA GPU with SGLang installed: one real server against its predicted KV tokens
	$(PY) -m pytest e2e/gpu -v -rs

bench-sizing: venv ## Milliseconds to size a tier, anew and again, and 1,000 unchanged clusters
	@$(PY) -m e2e.bench.sizing

bench-steering: venv ## What a tick costs with 1, 100 and 1,000 clusters: queries, CPU, memory
	@$(PY) -m e2e.bench.steering

bench-engine-sim: venv ## Requests per second of one simulated engine
	@$(PY) -m e2e.bench.engine_sim

venv: $(STAMP) ## Make the virtual environment from the hashed lock
$(STAMP): requirements/dev.txt pyproject.toml
	@bash requirements/make-venv.sh $(VENV)
	@rm -f $(VENV)/.installed-* && touch $@

docs: $(DOCS_STAMP) ## Build the docs as a site into site/; a broken link fails
	$(VENV)/docs/bin/zensical build --clean --strict
$(DOCS_STAMP): requirements/docs.txt | $(STAMP)
	@$(VENV)/bin/python -m venv $(VENV)/docs
	@$(VENV)/docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

lock: venv ## Recompile the hashed locks from requirements/*.in
	cd requirements && for f in runtime build dev docs mutants; do \
	  ../$(VENV)/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal \
	    --python-version 3.11 $$f.in -o $$f.txt; done

structure: venv ## Rooms, arrows between them, circles, longest functions; CHECKOUT=PATH of another checkout
	@$(PY) hack/structure.py $(CHECKOUT)

clean: ## Remove the virtual environment and caches of this checkout
	rm -rf $(VENV) site .cache .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis .state .mutants

quote = '$(subst ','\'',$(1))'
