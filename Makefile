# Each target installs what it needs first; a repeated setup costs nothing.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PYTHON := $(VENV)/bin/python
VENV_STAMP := $(VENV)/.installed
NODE_STAMP := node_modules/.installed

# Compiled modules are kept: without them each of the many processes that the tests start would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

# One worker more than there are cores, because some tests wait, and at most five. Tests that share processes stay on one worker
# (tests/conftest.py).
WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 4 ? cores + 1 : 5)))
TARGET ?= relay.zip
PYTEST := $(PYTHON) -m pytest --numprocesses $(WORKERS) --dist loadgroup --durations 10

# The paths to check, if they exist.
CODE := $(wildcard relay devhost standins hooks bench scripts function_app.py tests)
SUITES := unit contract standins devhost api repository crash_points e2e browser

.PHONY: bench plots docs site screenshots soak mutants help run test pytest deep setup format format-check lint types api-lint requirements package clean $(SUITES)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Start Relay on this machine, with storage and an inbox (PORT=7071)
	@$(PYTHON) -m devhost.stack

test: ## Run every check: format, lint, types and all tests
	@$(MAKE) --silent --no-print-directory --jobs 2 $(VENV_STAMP) $(NODE_STAMP) format-check lint
	@$(MAKE) --silent --no-print-directory --jobs 2 --keep-going types pytest

setup: ## Create the Python environment and install Azurite
	@$(MAKE) --silent --no-print-directory --jobs 2 $(VENV_STAMP) $(NODE_STAMP)

# uv installs in seconds; where it cannot (it does not read pip's configuration), pip does.
$(VENV_STAMP): requirements-dev.txt scripts/find-tools.sh
	@python=$$(scripts/find-tools.sh python) || exit 1; \
	echo "Setting up $(VENV) with $$python (half a minute the first time)"; \
	if ! $(PYTHON) -c 'import sys; raise SystemExit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then \
		"$$python" -m venv --clear $(VENV) || exit 1; \
	fi; \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[0-9.]*' requirements-dev.txt)" && \
	$(PYTHON) -m uv pip install --quiet --python $(PYTHON) --requirement requirements-dev.txt || \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

$(NODE_STAMP): package-lock.json scripts/find-tools.sh
	@scripts/find-tools.sh node >/dev/null
	@echo "Installing Azurite"
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

format: $(VENV_STAMP) ## Format the code
	@$(PYTHON) -m ruff check --quiet --select I --fix $(CODE)
	@$(PYTHON) -m ruff format $(CODE)

format-check: $(VENV_STAMP)
	@$(PYTHON) -m ruff format --check $(CODE)

lint: $(VENV_STAMP) ## Lint the code (ruff)
	@$(PYTHON) -m ruff check $(CODE)

types: $(VENV_STAMP) ## Check the types (mypy, strict)
	@$(PYTHON) -m mypy $(CODE)

api-lint: setup ## Check the OpenAPI document with Spectral and Redocly (installs both for this run)
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && $(PYTHON) -m scripts.openapi > "$$folder/openapi.json" && \
	npx --yes @stoplight/spectral-cli@6.16.3 lint --fail-severity hint "$$folder/openapi.json" && \
	npx --yes @redocly/cli@2.77.0 lint --max-problems 1000 "$$folder/openapi.json"

# Beside the types, which keep one core busy while the tests begin.
pytest: setup
	@$(PYTEST)

# Run one suite: make unit, make contract, make standins, make devhost, make api, make crash_points, make e2e
$(SUITES): setup
	@$(PYTEST) tests/$@

docs: $(VENV_STAMP) ## Regenerate docs and connector from the code
	@$(PYTHON) -m scripts.capabilities
	@$(PYTHON) -m scripts.roles
	@$(PYTHON) -m scripts.connector
	@$(PYTHON) -m scripts.examples
	@$(PYTHON) -m scripts.animation

# The site loads nothing from another host, so it gets its own copy of the library that draws the diagrams.
MERMAID := @mermaid-js/tiny@11.17.2

site: $(VENV_STAMP) ## Build the documentation as a searchable site in site/html; fails on a dead link
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && \
	npm pack --silent --pack-destination "$$folder" $(MERMAID) >/dev/null && tar xzf "$$folder"/*.tgz -C "$$folder" && \
	$(PYTHON) -m scripts.site site "$$folder/package/dist/mermaid.tiny.js" && \
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m uv run --quiet --no-project --isolated --python $(PYTHON) \
		--with-requirements requirements-site.txt mkdocs build --config-file site/mkdocs.yml && \
	echo "The site is in site/html."

requirements: $(VENV_STAMP) ## Re-pin after editing pyproject.toml (EXTRAS="--extra telemetry": deploy those too)
	@for output in requirements.txt hooks/requirements.txt requirements-dev.txt; do \
		case $$output in \
		requirements-dev.txt) more="--all-extras --constraints requirements.txt" ;; \
		hooks/requirements.txt) more="--extra cli --constraints requirements.txt" ;; \
		*) more="$(EXTRAS)" ;; \
		esac; \
		$(PYTHON) -m uv pip compile --quiet --universal --generate-hashes --python-version 3.13 $$more \
			--custom-compile-command "make requirements" pyproject.toml --output-file $$output || exit 1; \
	done
	@$(PYTHON) -m uv pip compile --quiet --universal --python-version 3.13 --custom-compile-command "make requirements" \
		tests/e2e/generated_clients/requirements.in --output-file tests/e2e/generated_clients/requirements.txt
	@$(PYTHON) -m uv pip compile --quiet --universal --generate-hashes --python-version 3.13 \
		--custom-compile-command "make requirements" --group site --output-file requirements-site.txt

package: setup ## Pack the app with its dependencies, for a deployment without a build in Azure (TARGET=relay.zip)
	@$(PYTHON) -m devhost.package --with-dependencies $(TARGET)
	@RELAY_PACKAGE=$(TARGET) $(PYTHON) -m pytest --quiet tests/e2e/test_package.py -k "dependencies or answers"

screenshots: setup ## Renew the screenshots in docs/images (needs chromium and a font with Japanese)
	@RELAY_SCREENSHOTS=1 $(PYTHON) -m pytest tests/browser

deep: setup ## Search longer for counterexamples: the property tests with many more and new inputs (many minutes)
	@HYPOTHESIS_PROFILE=deep $(PYTEST) tests/unit tests/api tests/crash_points/test_crash_points.py

soak: setup ## Kill the host while the provider misbehaves, and account for every message (many minutes)
	@$(PYTHON) -m tests.e2e.soak $(SOAK)

mutants: setup ## Break Relay on purpose, one line per run: the crash-point tests must fail (minutes; MUTANTS="purge": some)
	@$(PYTHON) -m tests.crash_points.mutants $(MUTANTS)

bench: setup ## Benchmark Relay and its alternatives (needs Debian's hey and postfix; minutes)
	@$(PYTHON) -m bench $(PARTS)

plots: $(VENV_STAMP) ## Redraw the plots of docs/performance from the last benchmark
	@$(PYTHON) -m bench.plots

clean: ## Remove everything that can be rebuilt; .local/ and local.settings.json stay
	@rm -rf $(VENV) node_modules site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
