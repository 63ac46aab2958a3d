# Each target sets up what it needs first; what is set up already costs nothing.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PYTHON := $(VENV)/bin/python
VENV_STAMP := $(VENV)/.installed
NODE_STAMP := node_modules/.installed

# What exists of what is checked.
CODE := $(wildcard relay devhost standins hooks bench scripts function_app.py tests)
SUITES := unit contract standins devhost api repository crash_points e2e browser

.PHONY: bench plots docs screenshots soak mutants help run test setup format format-check lint types requirements clean $(SUITES)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Start Relay on this machine, with storage and an inbox (PORT=7071)
	@$(PYTHON) -m devhost.stack

test: setup format-check lint types ## Everything that must pass: format, lint, types and all tests
	@$(PYTHON) -m pytest

setup: $(VENV_STAMP) $(NODE_STAMP) ## Make the Python environment and install Azurite

$(VENV_STAMP): requirements-dev.txt scripts/find-tools.sh
	@python=$$(scripts/find-tools.sh python) || exit 1; \
	echo "Setting up $(VENV) with $$python (a minute the first time)"; \
	if ! $(PYTHON) -c 'import sys; raise SystemExit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then \
		"$$python" -m venv --clear $(VENV) || exit 1; \
	fi; \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

$(NODE_STAMP): package-lock.json scripts/find-tools.sh
	@scripts/find-tools.sh node >/dev/null
	@echo "Installing Azurite"
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

format: $(VENV_STAMP) ## Rewrite the code in its one format
	@$(PYTHON) -m ruff check --quiet --select I --fix $(CODE)
	@$(PYTHON) -m ruff format $(CODE)

format-check: $(VENV_STAMP)
	@$(PYTHON) -m ruff format --check $(CODE)

lint: $(VENV_STAMP) ## Look for mistakes (ruff)
	@$(PYTHON) -m ruff check $(CODE)

types: $(VENV_STAMP) ## Check the types (mypy, strict)
	@$(PYTHON) -m mypy $(CODE)

# One suite alone: make unit, make contract, make standins, make devhost, make api, make crash_points, make e2e
$(SUITES): setup
	@$(PYTHON) -m pytest tests/$@

docs: $(VENV_STAMP) ## Write again the pages and the connector that are made from the code
	@$(PYTHON) -m scripts.capabilities
	@$(PYTHON) -m scripts.connector
	@$(PYTHON) -m scripts.examples

requirements: $(VENV_STAMP) ## Pin again after a change of pyproject.toml
	@for output in requirements.txt requirements-dev.txt; do \
		case $$output in \
		requirements-dev.txt) more="--all-extras --constraints requirements.txt" ;; \
		*) more= ;; \
		esac; \
		$(PYTHON) -m uv pip compile --quiet --universal --python-version 3.13 $$more \
			--custom-compile-command "make requirements" pyproject.toml --output-file $$output || exit 1; \
	done

screenshots: setup ## Take the pictures of the console and the inbox in docs/images anew (needs chromium)
	@RELAY_SCREENSHOTS=1 $(PYTHON) -m pytest tests/browser

soak: setup ## The long soak: kill the host while the provider misbehaves, and account for everything (many minutes)
	@$(PYTHON) -m tests.e2e.soak $(SOAK)

mutants: setup ## Break Relay on purpose, one line at a time, and expect the proof to notice (minutes)
	@$(PYTHON) -m tests.crash_points.mutants

bench: setup ## Measure Relay and what people use instead (needs Debian's hey and postfix; minutes)
	@$(PYTHON) -m bench $(PARTS)

plots: $(VENV_STAMP) ## Draw the plots of docs/performance anew, from what `make bench` measured last
	@$(PYTHON) -m bench.plots

clean: ## Remove what can be made again; .local/ and local.settings.json stay
	@rm -rf $(VENV) node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
