# The one door to everything, for people and for .ci/run. `make help` lists the targets.
VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough.
PYTHON ?= $(shell for p in python3 python python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
INSTALL = $(BIN)/python -I app/stack/install.py .
PACKAGING := setup.cfg pyproject.toml
UV := 0.13.9
LOCK = $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate -c constraints.txt setup.cfg requirements/build.in
# Tests mostly wait, for a start, a lease, an answer: two at once take little more than half the time.
AT_ONCE := -n 2
WHOLE := $(AT_ONCE) --dist loadscope --no-loadscope-reorder
PAGES := web/pages
TRACKER := web/tracker/tracker.js
CHARTS := $(PAGES)/node_modules
# Packages that send events, of other makers, which the tests run.
CLIENTS := $(VENV)/clients

# After an upgrade of Python nothing of the old environment works, and what stands in it looks installed.
STALE := $(shell [ ! -d $(VENV) ] || $(BIN)/python -c 'import os, sysconfig; os.listdir(sysconfig.get_path("purelib"))' 2>/dev/null || \
	echo remove-stale)

.DEFAULT_GOAL := help
.PHONY: help run shell test soak night flaky bench lint docs lock charts browser promtool servers kafka clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-6s %s\n", $$1, $$2}'

run: $(VENV)/installed $(CHARTS)/installed ## install, start everything on this machine, stop it with Ctrl-C
	@exec $(BIN)/event-counter run

shell: $(VENV)/installed ## a shell in which event-counter is on the path; leave it with exit
	@VIRTUAL_ENV="$(CURDIR)/$(VENV)" PATH="$(CURDIR)/$(BIN):$$PATH" "$${SHELL:-/bin/sh}"

test: ## install, lint, check types, run all tests (real Kafka, Postgres, Redis)
	@$(MAKE) --no-print-directory -j4 lint docs browser promtool servers kafka $(CLIENTS)/installed
	@$(BIN)/python -m pytest $(WHOLE) --durations=15

soak: $(VENV)/installed-test ## the kill tests, in full, ten times in a row
	@for n in 1 2 3 4 5 6 7 8 9 10; do echo "run $$n of 10"; \
		SOAK=1 $(BIN)/python -m pytest -q -m kill $(AT_ONCE) --dist worksteal || exit 1; done

night: $(VENV)/installed-test ## EVENTS=50000000 through a whole copy, killed and frozen all the while (an hour)
	@$(BIN)/python -m tests.night --events $(or $(EVENTS),50000000)

flaky: $(VENV)/installed-test $(CHARTS)/installed-test ## all tests N=3 times, beside BUSY=0 loops; or only TESTS
	@.ci/flaky $(BIN)/python $(or $(N),3) $(or $(BUSY),0) $(WHOLE) $(TESTS)

bench: $(VENV)/installed-test $(VENV)/peers/installed $(VENV)/flink/installed ## measure every path against its peers (an hour; QUICK=1: minutes)
	@PYTHONPATH=clients/python $(BIN)/python -m bench $(if $(QUICK),--quick)

lint: $(VENV)/installed-test $(CHARTS)/installed-test ## ruff, mypy, and the types of the pages
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet || { echo "run: $(BIN)/ruff format"; exit 1; }
	@$(BIN)/mypy
	@if command -v node >/dev/null; then $(CHARTS)/.bin/tsc -p $(PAGES); \
		else echo "no node: the types of the pages are not checked"; fi

docs: $(VENV)/installed-docs ## build the documentation as a site, build/docs/index.html
	@said=$$(NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict 2>&1) || { echo "$$said"; exit 1; } # --quiet counts no warnings

lock: $(VENV)/lock/bin/uv ## write requirements/ anew: the hashes of all packages, for any system
	@$(LOCK) -o requirements/run.txt
	@$(LOCK) --extra test -o requirements/test.txt
	@$(subst 3.11,3.11.5,$(LOCK)) --extra docs -o requirements/docs.txt # pymdown-extensions asks for it

charts: $(VENV)/installed ## install the charts of the pages, and tracker.js (run and test do it, too)
	@$(BIN)/python -m web.pages.install && touch $(CHARTS)/installed

clean: ## remove what was installed and measured; keeps .data
	rm -rf $(VENV) $(CHARTS) tests/clients/node_modules build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: remove-stale
remove-stale:
	@echo "$(VENV) is of a Python that is gone, or of another version: it is made anew"; rm -rf $(VENV)

$(addprefix $(VENV)/,bin/python installed installed-test installed-docs lock/bin/uv clients/installed peers/installed flink/installed): $(STALE)

$(VENV)/installed: $(PACKAGING) requirements/run.txt | $(VENV)/bin/python
	@$(INSTALL) requirements/run.txt
	@touch $@

$(VENV)/installed-test: $(PACKAGING) requirements/test.txt | $(VENV)/bin/python
	@$(INSTALL) requirements/test.txt
	@touch $@ $(VENV)/installed

$(VENV)/installed-docs: $(PACKAGING) requirements/docs.txt | $(VENV)/installed-test
	@$(INSTALL) requirements/docs.txt
	@touch $@

$(VENV)/lock/bin/uv: | $(VENV)/bin/python
	@$(BIN)/python -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV)

# For the tests of the pages, which say so where it is missing.
browser:
	@if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "installing chromium for the tests of the pages"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium fonts-dejavu-core >/dev/null; } || echo "chromium could not be installed"; fi

# Taken out of Debian's package: installing that would start a Prometheus, too.
promtool: $(VENV)/installed-test
	@if ! command -v promtool >/dev/null && [ ! -x $(BIN)/promtool ] && command -v apt-get >/dev/null; then \
		echo "fetching promtool for the tests of the alert rules"; dir=$$(mktemp -d); \
		{ [ "$$(id -u)" != 0 ] || apt-get update -qq; cd $$dir && apt-get download -qq prometheus >/dev/null 2>&1 && \
			dpkg-deb -x prometheus_*.deb . && cp usr/bin/promtool $(CURDIR)/$(BIN)/; } || echo "promtool could not be fetched"; \
		rm -rf $$dir; fi

# With TLS, and a pooler, which those from pip do not have; tests that need them skip without.
servers: browser promtool
	@if ! { command -v redis-server && command -v pgbouncer; } >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "installing Redis, PostgreSQL and PgBouncer for the tests of TLS"; \
		{ apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			redis-server postgresql pgbouncer >/dev/null; } || echo "they could not be installed"; fi

# Downloaded once, meanwhile; without a network the tests say what is missing.
kafka: $(VENV)/installed-test
	@$(BIN)/python -m tests.support.java_cache || true

# Without a network the pages go without charts; the next start tries again.
$(CHARTS)/installed: $(PAGES)/package-lock.json $(TRACKER) | $(VENV)/installed
	@if $(BIN)/python -m web.pages.install; then touch $@; fi

$(CHARTS)/installed-test: $(PAGES)/package-lock.json $(TRACKER) | $(VENV)/installed-test
	@$(BIN)/python -m web.pages.install --test
	@touch $@ $(CHARTS)/installed

$(CLIENTS)/installed: tests/clients/install.py tests/clients/package-lock.json | $(VENV)/installed-test
	@$(BIN)/python -m tests.clients.install && touch $@

$(VENV)/peers/installed $(VENV)/flink/installed: $(VENV)/%/installed: bench/%.txt | $(VENV)/bin/python
	@$(BIN)/python -m venv $(VENV)/$*
	@$(VENV)/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; or: make PYTHON=/path/to/it"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a venv"; exit 1; }
