# Every intention is one target; CI calls the same targets. `make help` lists them.
# Settings: DATA=FILE (demo on your own images), CONTEXT=name IMAGE_PREFIX=registry/path (an existing cluster).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest

.PHONY: help setup demo test test-fast test-slow test-cluster lint verify generate lock format fixture kueue cluster-up cluster-down images \
  deploy bench-planner bench-trainer bench-search bench-predictor bench-tables bench-operator chaos .python3

# devcluster/ needs Python's standard library only, but a bare Debian has not even that.
.python3:
	@command -v python3 >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-remove python3 python3-venv >/dev/null; } || \
	  { echo "python3 is needed, and could not be installed: on Debian, apt-get install python3 python3-venv as root" >&2; exit 1; }

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}'

setup: ## Everything that needs no cluster, into .venv
	@./setup.sh

demo: .python3 ## A real search on a real Kubernetes, from nothing
	@python3 -m devcluster.demo $(if $(DATA),--data '$(DATA)') $(if $(CONTEXT),--context '$(CONTEXT)') $(if $(IMAGE_PREFIX),--image-prefix '$(IMAGE_PREFIX)')

test: setup lint verify test-fast test-slow test-cluster ## All tests, those on the real cluster included

test-fast: setup ## Tests that need no cluster, under 2 minutes
	$(PYTEST) -m "not cluster and not slow" -n 2 -q

test-slow: setup ## Tests that need no cluster but minutes
	$(PYTEST) -m "slow and not cluster" -n 2 -q

test-cluster: setup cluster-up images ## Tests on the real cluster (only ever the development cluster)
	$(PYTEST) -m cluster -q

lint: setup ## ruff, mypy strict, import-linter
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(PYTHON) -m mypy core/src operator/src tables/src predictor/src trainer/src cli/src manifests/generate.py bench devcluster tests/devcluster
	.venv/bin/lint-imports

format: setup ## Formats the code
	.venv/bin/ruff check --fix -q . && .venv/bin/ruff format .

verify: setup ## Generated files equal what generates them
	$(PYTHON) manifests/generate.py --check

generate: setup ## Writes the generated files
	$(PYTHON) manifests/generate.py

fixture: setup ## Keeps this release's CRDs and samples of its objects for upgrade tests
	$(PYTHON) -m tests.support.release_fixture

lock: setup ## Pins the requirement files anew
	requirements/lock.sh

kueue: .python3 ## Builds Kueue, for the test of trials in its queue, which is skipped without it (about five minutes of CPU)
	@devcluster/kueue.sh

cluster-up: .python3 ## A real single-node Kubernetes on this machine
	@python3 -m devcluster up

cluster-down: .python3 ## Ends it and leaves nothing behind
	@python3 -m devcluster down

images: setup cluster-up ## Builds the images and loads them into the cluster
	@python3 -m devcluster images

deploy: setup $(if $(CONTEXT),,cluster-up) ## Builds the images; installs CRDs and operator into the cluster
	@python3 -m devcluster.deploy $(if $(CONTEXT),--context '$(CONTEXT)') $(if $(IMAGE_PREFIX),--image-prefix '$(IMAGE_PREFIX)')

bench-search: setup ## Strategies, asynchronous search, ablations on the tables of ../shared/data: 40 minutes (QUICK=1: three)
	OMP_NUM_THREADS=1 $(PYTHON) -m bench.search $(if $(QUICK),--quick,--minutes 24)
	OMP_NUM_THREADS=1 $(PYTHON) -m bench.asynchronous $(if $(QUICK),--quick,--minutes 5)
	OMP_NUM_THREADS=1 $(PYTHON) -m bench.ablations $(if $(QUICK),--quick,--minutes 5)

bench-predictor: setup ## What a proposal costs, against the original recipe as a plain torch loop (QUICK=1: one minute)
	OMP_NUM_THREADS=1 $(PYTHON) -m bench.predictor $(if $(QUICK),--quick)

bench-tables: setup ## What it costs to convert a published NASBench-101 file (QUICK=1: a twentieth of it)
	$(PYTHON) -m bench.conversion $(if $(QUICK),--quick)

bench-planner: setup ## Ten thousand histories in which everything goes wrong, and defects that they must find
	$(PYTHON) -m bench.histories

bench-trainer: setup ## Speed of the trainer; PART=learn, PART=rank: whether it learns, and ranks as the tables; QUICK=1 tries it
	$(PYTHON) -m bench.trainer --part $(or $(PART),speed) $(if $(QUICK),--quick)

bench-operator: deploy ## How long a free slot waits beside a plain loop, and how quiet the operator is, on the cluster (six minutes)
	$(PYTHON) -m bench.operator

chaos: deploy ## Faults every few seconds against two searches on the cluster, and a judge (SEED=1; DEFECT=ignore-jobs shows that it can fail)
	$(PYTHON) -u -m bench.chaos.run --seed $(or $(SEED),1) $(if $(DEFECT),--defect $(DEFECT))
