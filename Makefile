# The commands of laptop and CI. `make` alone lists them.
.PHONY: help setup setup-demo up down demo test check bench crash lock clean
BIN := .venv/bin

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: ## Install everything that the tests need (servers, .venv)
	@bash infra/setup.sh dev

setup-demo: ## Install what the demo needs: no torch, no tools for development
	@bash infra/setup.sh demo

up: setup-demo ## Start the whole system on this machine
	@$(BIN)/radstream up --wait

down: ## Stop what `make up` started; the data stays
	@$(BIN)/radstream down

demo: setup-demo ## Radiographs in, results and drift out (DATA=folder: your own files; KEEP=1: leave it running)
	@$(BIN)/radstream demo $(if $(DATA),--data "$(DATA)") $(if $(KEEP),--keep)

test: setup ## Run every test against real servers, in two processes
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup ## Style, types, the rooms' boundaries, documents, licences
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/pytest -q tests/unit/checks tests/unit/test_docs.py

bench: setup ## Measure every figure that the documents quote (QUICK=1: shorter runs; LIST=1: names and durations)
	@$(BIN)/python benchmarks/all.py $(if $(QUICK),--quick) $(if $(LIST),--list)

crash: setup ## The long fault suites: hundreds of kills, ten thousand hostile inputs (over an hour)
	@$(BIN)/pytest -m crash -s tests

lock: setup ## Resolve the lock files anew from pyproject.toml
	@bash infra/lock.sh

clean: down ## Remove the local state and the virtual environment; the shared cache of servers stays
	@[ ! -L .radstream/postgres ] || rm -rf "$$(readlink .radstream/postgres)"
	rm -rf .radstream .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
