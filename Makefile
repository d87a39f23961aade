# Rollcall's workshop. `make` lists the targets. Needs git, make and Python 3.11+ with venv; fetches the rest itself.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
SHELL := /bin/sh

PYTHON ?= $(shell sh tools/find-python.sh)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps
STAMPS := .venv/stamps
PORT ?= 8000
# Some tests wait, for processes, databases and the browser: three workers keep two cores busy, a fourth costs more than it brings.
JOBS ?= 3
UPGRADE ?=

.PHONY: help setup demo dev serve test check hooks lint bench screenshots assets lock images clean browser ready

help: ## List the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

ready: $(STAMPS)/app $(STAMPS)/dev assets

setup: ready ## Make or renew .venv and static/vendor; instant when they are current
	@echo "Rollcall is set up: 'make demo' shows it, 'make test' checks it, 'make help' lists the rest."

assets: static/vendor/manifest.json ## Build static/vendor from package-lock.json and static/icons.list

demo: $(STAMPS)/app assets ## Portal and simulated Microsoft tenants on throw-away data (PORT=8000)
	@exec $(BIN)/rollcall demo --port $(PORT)

dev: ready ## The demo for development: restarts with each change (PORT=8000)
	@exec $(BIN)/rollcall demo --reload --port $(PORT)

serve: $(STAMPS)/app assets ## The production server (PORT=8000); data in instance/
	@exec $(BIN)/rollcall serve --port $(PORT)

test: check browser ## Everything: lint, types, import contracts, all tests on SQLite and PostgreSQL, browser
	$(BIN)/pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder $(ARGS)

check: lint ## Lint, types and import contracts only
	$(BIN)/mypy --strict portal simulator
	$(BIN)/lint-imports --no-cache --no-logo

hooks: ready ## Let git run `make check` before each commit
	@ln -sf ../../tools/pre_commit.sh "$$(git rev-parse --git-path hooks)/pre-commit" && echo "git runs 'make check' before each commit now."

lint: ready ## Lint only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/djlint --lint --quiet templates
	$(BIN)/python tools/prettier.py

browser: ready
	@$(BIN)/python tools/browser.py

bench: browser ## Measure syncs, lists, imports, first paint and concurrent use (throw-away data)
	$(BIN)/python tools/bench.py $(ARGS)
	$(BIN)/python tools/bench_pages.py
	$(BIN)/python tools/bench_people.py
	$(BIN)/python tools/bench_imports.py
	$(BIN)/python tools/bench_paint.py
	$(BIN)/python tools/bench_load.py

screenshots: browser ## Renew docs/screenshots from the demo
	$(BIN)/python tools/screenshots.py $(ARGS)

lock: $(STAMPS)/dev ## Renew the locks after a change in pyproject.toml or package.json (UPGRADE=1: newest versions)
	$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)

images: ## Pin the Docker images by digest, or renew the pins (needs Docker and its registry)
	@$(PYTHON) tools/images.py

clean: ## Remove what the other targets made; your data in instance/ stays
	rm -rf .venv node_modules static/vendor build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Rollcall needs Python 3.11 or later: install python3 and python3-venv." >&2; exit 1; }
	@rm -rf .venv; "$(PYTHON)" -m venv .venv || { rm -rf .venv; \
	  echo "Python cannot make a virtual environment: install python3-venv." >&2; exit 1; }

$(STAMPS)/runtime: requirements/runtime.lock | $(BIN)/python
	@echo "Installing what the portal needs ..."
	@$(PIP) -r requirements/runtime.lock
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements/dev.lock $(STAMPS)/runtime
	@echo "Installing what the tests need ..."
	@$(PIP) -r requirements/dev.lock
	@mkdir -p $(STAMPS) && touch $@

# Makes $(BIN)/rollcall, pointing at this folder. The build tool is pinned too, so nothing is looked up here.
$(STAMPS)/app: pyproject.toml requirements/build.lock $(STAMPS)/runtime
	@$(PIP) -r requirements/build.lock
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps --no-index --no-build-isolation --editable .
	@mkdir -p $(STAMPS) && touch $@

# The templates and what else writes HTML: their classes decide which of Tabler's styles are served.
STYLED := $(shell find templates portal -name '*.html' -o -name '*.py') $(wildcard static/*.js)

static/vendor/manifest.json: package.json package-lock.json .npmrc purgecss.config.cjs static/icons.list tools/assets.py $(STYLED) | $(BIN)/python
	@echo "Building static/vendor ..."
	@$(BIN)/python tools/assets.py
