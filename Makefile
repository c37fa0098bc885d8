# make help says what there is. Every target sets up what it needs; what is there already is used as it is.

# HOST:PORT/PREFIX. On loopback a registry is started when none answers; any other one is yours.
HUBSTACK_REGISTRY ?= 127.0.0.1:5000/hubstack
# Behind an intercepting proxy builds need its certificate. Where this variable is set, it usually names it.
CA_BUNDLE ?= $(SSL_CERT_FILE)
# The first Python from 3.11 on is taken; name another one here.
PYTHON ?=

BIN := .venv/bin
HUBSTACK := $(BIN)/hubstack --registry $(HUBSTACK_REGISTRY) $(if $(CA_BUNDLE),--ca-bundle $(CA_BUNDLE))
DEMO_STACKS := minimal scipy datascience
UNIT := not engine and not registry and not slow
# One after another: what takes the time, and what builds in this folder, where one build waits for the other.
# The demo first, which builds what the browser is shown.
ALONE := tests/engine/test_demo.py tests/engine/test_registry.py tests/engine/test_repository.py tests/browser
# In order of their names: by default files with few tests would be last, and those take the longest.
BY_FILE := --dist=loadfile --no-loadscope-reorder
# What `make proof` draws: how many sets, which, and whether both of Debian's releases are at work at once.
SETS ?= 200
SEED ?= 1
JOBS ?= 1
# With any word here, mergers are broken on purpose instead.
BREAK ?=
# Or the triggers are fired that settling relies on.
FIRE ?=
# Tests give hubstack a registry themselves; they learn from another variable which one is real.
PYTEST := env -u HUBSTACK_REGISTRY HUBSTACK_TEST_REGISTRY=$(HUBSTACK_REGISTRY) HUBSTACK_TEST_CA_BUNDLE=$(CA_BUNDLE) $(BIN)/pytest

export HUBSTACK_REGISTRY PYTHON
# Without bytecode each start of hubstack would compile it anew.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.PHONY: help demo everything preview test check lint unit format bench proof setup tools venv lock stop status clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-12s%s\n' "$$name" "$$text"; done

demo: setup ## build, test and push three stacks; write a hub's ConfigMap to dist/demo
	$(HUBSTACK) build --push $(DEMO_STACKS) --profiles dist/demo --hub demo

everything: setup ## the same for every stack and every hub
	$(HUBSTACK) build --push --profiles dist/everything

test: tools lint ## every test, with real builds on a real engine and a real registry
	HUBSTACK_TEST_TOOLS=1 $(PYTEST) -q --numprocesses=2 -m '$(UNIT)'
	HUBSTACK_TEST_TOOLS=1 $(PYTEST) -q --numprocesses=2 $(BY_FILE) -m 'not ($(UNIT))' $(addprefix --ignore=,$(ALONE))
	HUBSTACK_TEST_TOOLS=1 $(PYTEST) $(ALONE)

check: venv lint unit ## the fast part of test: format, lint, types, unit tests; no engine

unit: venv
	$(PYTEST) -q --numprocesses=2 -m '$(UNIT) and not long' tests/merge tests/promises tests/unit

lint: venv
	$(BIN)/ruff format --check --quiet || { $(BIN)/ruff format --check; exit 1; }
	$(BIN)/ruff check --quiet
	$(BIN)/mypy builder/hubstack tests $(wildcard bench)
	$(BIN)/shellcheck --external-sources builder/*.sh .ci/run
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-actions .github/actions/*/action.yml
	$(BIN)/zizmor --offline --quiet --no-progress --strict-collection --persona auditor .github

format: venv ## let ruff write what it can
	$(BIN)/ruff check --quiet --fix-only
	$(BIN)/ruff format

bench: setup ## measure hubstack beside buildx bake and kolla-build, and merges beside builds
	$(BIN)/python bench/compare.py
	$(BIN)/python bench/merge.py --registry $(HUBSTACK_REGISTRY) $(if $(CA_BUNDLE),--ca-bundle $(CA_BUNDLE))

proof: setup ## merge random sets of layers and compare with chains: hours; goes on where it was
	nice $(BIN)/python -m tests.proof --registry $(HUBSTACK_REGISTRY)/proof $(if $(CA_BUNDLE),--ca-bundle $(CA_BUNDLE)) --seed $(SEED) --sets $(SETS) --jobs $(JOBS) $(if $(BREAK),--break) $(if $(FIRE),--fire)

setup: venv ## what demo and test need: .venv, an engine, a registry, mmdebstrap
	@builder/machine.sh up

preview: setup ## the hub `demo` on this machine, with what `make demo` builds
	$(HUBSTACK) build --push $(DEMO_STACKS)
	$(HUBSTACK) preview demo

# With a browser, helm and kubectl, which hubstack doesn't need, but its tests drive.
tools: venv
	@builder/machine.sh up tools

venv: ## only .venv, from requirements.lock
	@builder/venv.sh

# Without a line about where the packages come from: each machine has its own mirror.
lock: venv ## resolve pyproject.toml's dependencies anew into requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --group dev --extra argo --extra preview --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml

stop: ## end the engine and the registry that setup started, and nothing else
	@builder/machine.sh stop

status: ## what answers, and what of it was started from here
	@builder/machine.sh status

# The engine's images stay: they are the machine's, and other clones use them. `docker system prune --all` frees them.
clean: stop ## stop, then delete what was made in this folder: .venv, .run (the registry's files), dist, caches
	rm -rf .venv .run dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
