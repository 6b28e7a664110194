# `make demo` on a fresh machine is all it takes; `make help` lists the rest.
#   PORT=8123       the web's port (kept in the data folder; 8000 at first)
#   VAR=somewhere   the data folder (default var), so that two checkouts or two data folders run side by side
#   CHECK=1         `make demo` stops the system again at the end
#   STRIPE=local    card payments, through a Stripe on this machine (kept in the data folder until STRIPE=off)
#   ROUNDS=50       how often `make chaos` kills each kind of process
#   ARGS=…          more arguments for pytest

VAR ?= $(or $(BREAKWATER_VAR),var)
VENV ?= .venv
PYTHONS := python3 python3.13 python3.12 python3.11
export BREAKWATER_VAR := $(shell realpath -m "$(VAR)")
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PY := $(VENV)/bin/python
MANAGE := $(PY) manage.py
PIP := $(PY) -m pip install --quiet --root-user-action=ignore
STAMP := $(VENV)/installed-$(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder
NOT_HERE := not browser and not rabbitmq and not speech and not chaos and not slow and not gpu

.PHONY: help install demo up down doctor test test-stripe test-rest test-all lint chaos bench
.DELETE_ON_ERROR:

help:
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile

install: $(STAMP)  ## make .venv with everything in it

$(STAMP): pyproject.toml constraints.txt
	@set -e; for name in $(PYTHONS); do \
	  if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then echo "Python 3.11 or later is needed, and none of $(PYTHONS) is: install one" >&2; exit 1; fi; \
	if ! $$python -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "$$python lacks the module venv: install it (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; fi; \
	echo "installing into $(VENV) with $$($$python --version): some minutes the first time"; \
	$(PY) -c 'import pip' 2>/dev/null || $$python -m venv --clear $(VENV)
	@# torch alone first: where a build for machines without a GPU is offered, it is the one taken
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) -c constraints.txt -e '.[dev]'
	@rm -f $(VENV)/installed-*
	@touch $@

demo: install  ## the main job on real input, told step by step; CHECK=1 stops the system at the end
	@$(MANAGE) up $(if $(PORT),--port $(PORT)) && $(MANAGE) demo; code=$$?; \
	$(if $(filter-out 0,$(CHECK)),$(MANAGE) down || code=1;) exit $$code

up: install  ## start everything in the background
	@$(MANAGE) up $(if $(PORT),--port $(PORT))

down: install  ## stop everything, and whatever a killed supervisor has left behind
	@$(MANAGE) down

doctor: install  ## what is configured, reachable and enforced, and what to do about the rest
	@$(MANAGE) doctor

test: install  ## everything that a clean machine can check
	@$(PY) -m pytest $(SIDE_BY_SIDE) -m "$(NOT_HERE)" $(ARGS)

test-stripe: install  ## the Stripe suite; with STRIPE_SECRET_KEY=sk_test_… against Stripe's test mode
	@$(PY) -m pytest tests/tenants/billing/stripe $(ARGS)

test-rest: install  ## what `make test` leaves out: browser, RabbitMQ, speech, chaos, long runs, GPU
	@$(PY) -m pytest -m "not ($(NOT_HERE))" $(ARGS)

test-all: test test-rest  ## every test (.ci/run installs the system packages that some need)

lint: install  ## ruff, mypy strict, import contracts
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports

chaos: install  ## kill processes at random points, ROUNDS times each
	@CHAOS_ROUNDS=$(or $(ROUNDS),5) $(PY) -m pytest -m chaos tests/chaos $(ARGS)

bench: install  ## the benchmark tables, in one run; ARGS=bench_wallet for one of them
	@$(PY) -m tests.benchmarks $(ARGS)
