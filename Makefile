# Everything runs in an environment of its own, made on first use and again when
# pyproject.toml changes. Needed on the machine: Python >= 3.11, make, git.

PYTHON ?= python3
VENV ?= .venv
PORT ?= 5000
JOBS ?= 3
TIME ?= 60

BIN := $(VENV)/bin
# See tests/harness/scheduling.py. Bytecode is kept: else each process of the tests
# compiles everything anew.
SPREAD := -n $(JOBS) --dist loadgroup
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# -- environments ----------------------------------------------------------------------

# The pip of a stock Python may be too old for --group.
$(VENV)/.stamp-pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make run PYTHON=python3.12" >&2; exit 1; }
	@echo "Making an environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.stamp-run: pyproject.toml $(VENV)/.stamp-pip
	@echo "Installing what the server needs (once, some seconds) ..."
	@$(PIP) --editable '.[docs,serve,sql]'
	@touch $@

$(VENV)/.stamp-lowest: pyproject.toml $(VENV)/.stamp-pip
	@$(PIP) --group lowest
	@touch $@

$(VENV)/.stamp-%: pyproject.toml $(VENV)/.stamp-pip
	@echo "Installing what '$*' needs (once, up to a minute) ..."
	@$(PIP) --editable '.[all]' --group $*
	@touch $@

# -- run -------------------------------------------------------------------------------

URL := http://127.0.0.1:$(PORT)

define TRY_IT

Try it from another terminal:

  TOKEN=$$(curl -s $(URL)/auth/login -H 'Content-Type: application/json' -d '{"username": "JohnDoe", "password": "correct horse battery"}' | sed 's/.*"access_token": *"\([^"]*\)".*/\1/')
  curl -i $(URL)/protected -H "Authorization: Bearer $$TOKEN"
  curl -i $(URL)/protected

or read and try the API at $(URL)/auth/docs

endef
export TRY_IT

# The key outlives the server, and so do the tokens it signed.
instance/secret-key:
	@umask 077 && mkdir -p $(@D) && \
		$(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(48))' > $@

# One process: the tutorial's two users are in a dict.
.PHONY: run
run: $(VENV)/.stamp-run instance/secret-key ## Serve the demo on 127.0.0.1 (PORT=5000)
	@$(BIN)/python -c 'import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1])))' '$(PORT)' 2>/dev/null || \
		{ echo "Port $(PORT) cannot be used: it is no number up to 65535, or something listens there. Try: make run PORT=5001" >&2; exit 1; }
	@printf '%s\n' "$$TRY_IT"
	@FLASK_SECRET_KEY="$${FLASK_SECRET_KEY:-$$(cat instance/secret-key)}" \
		exec $(BIN)/gunicorn --bind 127.0.0.1:$(PORT) --workers 1 --worker-class gthread --threads 32 --access-logfile - --no-control-socket 'tokenauth.demo:create_app()'

# -- check -----------------------------------------------------------------------------

# ARGS narrows the run; COVERAGE=1 makes a whole one half as slow again.
.PHONY: test
test: $(VENV)/.stamp-dev ## Run the tests; all, ARGS="tests/... -k ...", or COVERAGE=1 for the gate
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else ifdef COVERAGE
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(SPREAD)
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
else
	$(BIN)/python -m pytest $(SPREAD)
endif

# -- other versions --------------------------------------------------------------------

# Each has an environment of its own, made anew each time: ARGS narrows the run.
.PHONY: test-lowest
test-lowest: $(VENV)/.stamp-lowest ## Run the tests with the oldest releases that pyproject.toml allows
	@rm -rf $(VENV)-lowest
	@$(BIN)/uv venv --quiet --seed --python $(BIN)/python $(VENV)-lowest
	@$(BIN)/uv pip install --quiet --python $(VENV)-lowest --resolution lowest-direct \
		--editable '.[all]' --group tests
	$(VENV)-lowest/bin/python -m pytest $(SPREAD) $(ARGS)

NEXT = $(FLASK) $(WERKZEUG) $(FLASK_LOGIN) $(ITSDANGEROUS)

.PHONY: test-next
test-next: $(VENV)/.stamp-pip ## Run the tests with checkouts: FLASK=path WERKZEUG= FLASK_LOGIN= ITSDANGEROUS=
	@test -n '$(strip $(NEXT))' || \
		{ echo "Name a checkout: make test-next FLASK=../flask WERKZEUG=../werkzeug" >&2; exit 1; }
	@rm -rf $(VENV)-next
	@$(PYTHON) -m venv $(VENV)-next
	@$(VENV)-next/bin/python -m pip install -qq --upgrade 'pip>=25.1'
	@$(VENV)-next/bin/python -m pip install -qq --editable '.[all]' --group tests
	@$(VENV)-next/bin/python -m pip install -qq --no-deps $(NEXT)
	@$(VENV)-next/bin/python -m pip freeze | grep -i ' @ file:'
	$(if $(FLASK_LOGIN),FLASK_LOGIN_CHECKOUT='$(FLASK_LOGIN)') $(VENV)-next/bin/python -m pytest $(SPREAD) $(ARGS)

.PHONY: lint
lint: $(VENV)/.stamp-dev ## Report style slips and imports against the plan; changes nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/zizmor --offline --quiet .github

.PHONY: types
types: $(VENV)/.stamp-dev ## Check the types with mypy and pyright
	$(BIN)/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

.PHONY: check
check: lint types ## All of lint, types and test, with the coverage gate
	@$(MAKE) --no-print-directory test COVERAGE=1

.PHONY: format
format: $(VENV)/.stamp-dev ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

# -- document --------------------------------------------------------------------------

.PHONY: docs
docs: $(VENV)/.stamp-site ## Build the documentation as a site in site/; a warning fails it
	$(BIN)/python -m sphinx -b html -n -W --keep-going -q -d site/.trees tokenauth/docs site

.PHONY: screenshots
screenshots: $(VENV)/.stamp-dev ## Take the documentation's pictures anew, in a real Chromium
	SCREENSHOTS=tokenauth/docs/images $(BIN)/python -m pytest -q -n0 tests/web/api/test_docs_page.py -k authorises

# -- measure ---------------------------------------------------------------------------

.PHONY: bench
bench: $(VENV)/.stamp-bench ## Measure speed beside the peers; all, or ONLY="micro,request"
	$(BIN)/python -m tests.benchmarks --only='$(ONLY)' $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.stamp-fuzz ## Feed hostile bytes to whatever reads them (TIME=60 seconds)
	$(BIN)/python -m tests.fuzz --seconds $(TIME) $(ARGS)

# What was noticed is not asked again: ARGS names mutants to repeat, `clean` forgets all.
.PHONY: mutants
mutants: $(VENV)/.stamp-mutants ## Break the code on purpose and see who notices (20 minutes)
	$(BIN)/mutmut run $(ARGS)
	$(BIN)/mutmut results

# -- build -----------------------------------------------------------------------------

.PHONY: build
build: $(VENV)/.stamp-build ## Build the sdist, and from it the wheel, into dist/
	@rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

.PHONY: test-wheel
test-wheel: build ## Test the built wheel in a new environment, with the source absent
	@set -eu; \
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	cp -R tests pyproject.toml README.md dist/*.whl "$$dir"; \
	cd "$$dir"; \
	echo "Making an environment around the wheel ..."; \
	$(PYTHON) -m venv env; \
	env/bin/python -m pip install -qq --upgrade 'pip>=25.1'; \
	env/bin/python -m pip install -qq "$$(echo *.whl)[all]" --group tests; \
	env/bin/pytest $(SPREAD) -m 'not checkout'

.PHONY: clean
clean: ## Remove the environment and all that was built; keeps instance/
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-next dist site mutants .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find tokenauth tests -name __pycache__ -type d -prune -exec rm -rf {} +
