# One line per target: `make` alone prints this list.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# .venv/bin also contains Node.js and the cdk command line; the user's cache may contain container tools.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cdk-ecrpublic
export PATH := $(CURDIR)/$(BIN):$(PATH):$(CACHE)/peers/bin
# Some machines and container images set it; then every process would spend seconds compiling aws-cdk-lib.
unexport PYTHONDONTWRITEBYTECODE
# Otherwise the command line fetches notices and sends usage statistics.
export CDK_DISABLE_CLI_TELEMETRY := true

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## release, review, deploy and roll back an image, without an AWS account; KEEP=1 leaves the sandbox running
	@$(BIN)/python -m scripts.demo $(if $(KEEP),--keep) $(ARGS)

.PHONY: pictures
pictures: setup ## draw the picture in the README from the output of the demonstration
	@$(BIN)/python -m scripts.demo --picture docs/assets/plan.svg

# The same examples for everybody, and in CI. Without a seed, pytest tries other ones each time.
SEED ?= 1

.PHONY: test
test: setup ## run all tests on all cores; pass arguments to pytest with ARGS="-k tag"; SEED=2 for other random examples
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --hypothesis-seed=$(SEED) $(ARGS)

.PHONY: test-pythons
test-pythons: setup ## run the tests of the handler on the other Python versions that are installed; ARGS as for test
	@scripts/other-pythons $(ARGS)

.PHONY: check
check: setup ## run the static checks: format, lint, types, docs
	@$(MAKE) --keep-going lint types docs

.PHONY: format
format: setup ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: lint
lint: setup ## check the format and the lint rules, without changing anything
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

.PHONY: types
types: setup ## check the types with mypy in strict mode
	@$(BIN)/mypy

.PHONY: docs
docs: setup ## build the documentation into build/site; a broken link is an error
	@# Not --quiet: mkdocs would not count warnings, and a broken link would pass.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict >build.log 2>&1 || { cat build.log; exit 1; }
	@rm build.log
	@echo "docs: build/site/index.html"

.PHONY: fault-table
fault-table: setup ## update the tables in docs/explanation/faults.md
	@$(BIN)/python -m tests.faults.write_table

.PHONY: differential-table
differential-table: setup ## update the tables in docs/explanation/other-registries.md; needs crane, skopeo, regctl, oras
	@$(BIN)/python -m tests.differential.table

.PHONY: interleavings
interleavings: setup ## try every order of the calls of two requests, which takes about 40 minutes; options: ARGS="--help"
	@$(BIN)/python -m tests.interleaving.command $(ARGS)

.PHONY: bench
bench: setup ## run the benchmarks; options: ARGS="--help"
	@$(BIN)/python -m benchmarks.run $(ARGS)

.PHONY: live
live: setup ## compare the sandbox with AWS: ARGS="--account ID"; ARGS=--sandbox tries it without AWS
	@$(BIN)/python -m cdk_ecrpublic.cli live-check $(ARGS)

.PHONY: live-import
live-import: setup ## take over the evidence of a live check into the tests and the documentation: EVIDENCE=folder
	@$(BIN)/python -m tests.live_check.evidence_table "$(EVIDENCE)"

.PHONY: live-table
live-table: setup ## update the table of the live check in docs/explanation/sandbox-fidelity.md
	@$(BIN)/python -m tests.live_check.evidence_table

.PHONY: sandbox
sandbox: setup ## run an emulator of ECR Public and the rest of AWS, until Ctrl-C
	@$(BIN)/python -m cdk_ecrpublic.cli sandbox

.PHONY: dist
dist: setup ## build the wheel and the source archive into dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist . >build.log 2>&1 || { cat build.log; exit 1; }
	@rm build.log
	@ls dist

.PHONY: release
release: setup ## check, build and tag VERSION=x.y.z, on this machine only; ARGS=--dry-run only tries it
	@$(BIN)/python -m scripts.release "$(VERSION)" $(ARGS)

.PHONY: setup
setup: $(READY) ## install the dependencies into .venv and node_modules (all other targets do this, too)
	@:

$(READY): pyproject.toml requirements/constraints.txt package.json package-lock.json scripts/setup
	@PYTHON="$(PYTHON)" scripts/setup
	@touch $@

.PHONY: lock
lock: setup ## update the locked versions in requirements/constraints.txt and package-lock.json
	@scripts/lock

.PHONY: clean
clean: ## remove everything that these commands created in this folder (not the user's cache)
	@rm -rf .venv node_modules build dist cdk.out .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
