# One line per target: `make` alone prints this list.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Node and the cdk command line are in .venv/bin too; container tools for comparison may be in the user's cache.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cdk-ecrpublic
export PATH := $(CURDIR)/$(BIN):$(PATH):$(CACHE)/peers/bin
# Some machines and images of containers set it; every process would compile aws-cdk-lib again, for seconds.
unexport PYTHONDONTWRITEBYTECODE
# The command line asks the network for news and sends statistics unless told not to.
export CDK_DISABLE_CLI_TELEMETRY := true

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## release, review, deploy and roll back an image, without an AWS account
	@$(BIN)/python scripts/demo.py

.PHONY: test
test: setup ## run all tests, on all cores; arguments for pytest go into ARGS="-k tag"
	@$(BIN)/python -m pytest --numprocesses logical --dist loadfile $(ARGS)

.PHONY: test-pythons
test-pythons: setup ## run the tests of the handler on the other Python versions that are installed; ARGS as for test
	@scripts/other-pythons $(ARGS)

.PHONY: check
check: setup ## everything that is checked without running it: format, lint, types, docs
	@$(MAKE) --keep-going lint types docs

.PHONY: format
format: setup ## rewrite the code the way the project formats it
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: lint
lint: setup ## format and lint rules, without changing anything
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

.PHONY: types
types: setup ## mypy, strict, over everything
	@$(BIN)/mypy

.PHONY: docs
docs: setup ## build the documentation into build/site; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build --strict
	@echo "docs: build/site/index.html"

.PHONY: fault-table
fault-table: setup ## write the tables of docs/explanation/faults.md anew
	@$(BIN)/python -m tests.faults.write_table

.PHONY: differential-table
differential-table: setup ## write the tables of docs/explanation/other-registries.md anew; takes crane, skopeo, regctl, oras
	@$(BIN)/python -m tests.differential.table

.PHONY: interleavings
interleavings: setup ## try every order of the calls of two requests, for some 40 minutes; ARGS="--help" says how
	@$(BIN)/python -m tests.interleaving.command $(ARGS)

.PHONY: bench
bench: setup ## measure what the project costs; ARGS="--help" says how
	@$(BIN)/python -m benchmarks.run $(ARGS)

.PHONY: sandbox
sandbox: setup ## ECR Public and the AWS around it on this machine, until Ctrl-C
	@$(BIN)/python -m cdk_ecrpublic.cli sandbox

.PHONY: dist
dist: setup ## build the wheel and the source archive into dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist . >build.log 2>&1 || { cat build.log; exit 1; }
	@rm build.log
	@ls dist

.PHONY: release
release: setup ## check, build, describe and tag VERSION=x.y.z, on this machine only; ARGS=--dry-run tries it
	@$(BIN)/python -m scripts.release "$(VERSION)" $(ARGS)

.PHONY: setup
setup: $(READY) ## install what is needed into .venv and node_modules (the other targets do it too)
	@:

$(READY): pyproject.toml requirements/constraints.txt package.json package-lock.json scripts/setup
	@PYTHON="$(PYTHON)" scripts/setup
	@touch $@

.PHONY: lock
lock: setup ## choose newer versions: rewrites requirements/constraints.txt and package-lock.json
	@scripts/lock

.PHONY: clean
clean: ## remove what these commands made here (not what the user's cache keeps)
	@rm -rf .venv node_modules build dist cdk.out .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
