# One command for each thing a developer does; `make help` lists them.
# Everything lives in .venv; the files in .venv/made are stamps, so a second run is quick.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
MADE   := $(VENV)/made
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# PYSFRAME_BUILD is what the user says about the native engine: require, auto, none, or nothing.
# Nothing means: build it, and ask first where something is missing (tools/preflight.py).
BUILD := $(or $(PYSFRAME_BUILD),auto)

# The suite in as many processes as there are cores, four at most.
IN_PARALLEL := -n auto --maxprocesses=4 --dist=loadgroup

# The linter of .github/workflows, built from its source: the package on PyPI downloads a binary.
ACTIONLINT := actionlint@v1.7.12

NATIVE_SOURCES := setup.py tools/native.py pyproject.toml $(wildcard csrc/*.h csrc/*/*.[ch]) \
                  $(wildcard src/pysframe/engine/*.px[di] src/pysframe/engine/*.pyx)
C_FILES = $(wildcard csrc/*/*.c)
WEB_SOURCES := $(wildcard web/*.ts web/*/*.ts web/*.json web/build.mjs)

.DELETE_ON_ERROR:
.PHONY: help demo test lint format types web e2e e2e-parts arm64 \
        bench bench-gate bench-record bench-tables bench-compare bench-peers \
        test-c test-deep test-gates test-libsfr test-nightly mutants coverage typing wheel wheels install-c clean

help:            ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(MADE)/call   ## build, install into .venv, then run a whole encrypted call
	@echo "== pysframe call: an end-to-end encrypted voice call in one process"
	@$(BIN)/pysframe call

test: $(MADE)/test   ## the same build and install, then the whole test suite
	@echo "== pytest: every engine, kernel and provider"
	@$(BIN)/python -m pytest $(IN_PARALLEL) $(PYTEST_ARGS)

test-deep: $(MADE)/test ## tests/security with sanitizers, fuzzers, emulated CPUs; minutes
	@$(BIN)/python -m pytest $(IN_PARALLEL) --tier=deep tests/security $(PYTEST_ARGS)

test-gates: $(MADE)/bench $(MADE)/test ## the gates of bench-gate, seen to fail; needs the machine for itself
	@$(BIN)/python -m pytest -n0 --measured tests/latency/test_measured.py $(PYTEST_ARGS)

test-nightly: $(MADE)/test ## far more of it; hours
	@$(BIN)/python -m pytest $(IN_PARALLEL) --tier=nightly tests/security $(PYTEST_ARGS)

mutants: $(MADE)/mutants ## mutation testing of the Python code: do the tests notice small faults?
	@$(BIN)/python tools/mutants.py $(MODULES)

lint: $(MADE)/dev $(MADE)/$(ACTIONLINT) ## every linter: ruff, mypy, import rules, C, Cython, workflows (needs Go)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory typing
	$(BIN)/lint-imports
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src
	clang-format --dry-run --Werror $(C_FILES)
	$(BIN)/actionlint -shellcheck= -pyflakes= .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/python tools/seeded_faults.py

format: $(MADE)/dev  ## rewrite Python and C in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	clang-format -i $(C_FILES)

types: $(MADE)/dev   ## mypy --strict alone
	$(BIN)/mypy

typing: $(MADE)/dev  ## the public API as mypy and pyright see it; stubs that equal what runs
	$(BIN)/mypy --config-file tests/typing/mypy.ini tests/typing/public_api.py
	$(BIN)/pyright -p tests/typing
	$(BIN)/python -m mypy.stubtest pysframe.engine._native --allowlist tests/typing/unstubbed.txt

web: $(MADE)/test web/node_modules/.made ## the TypeScript of web/: lint, types, build, tests in Node and browsers, frames to and from Python
	npm --prefix web run lint
	npm --prefix web run build
	npm --prefix web test
	npm --prefix web run test:browsers
	$(BIN)/python -m pytest tests/browser $(PYTEST_ARGS)

e2e: e2e-parts       ## a call through real browsers and servers (root; needs Node and Go; tests/e2e)
	@tests/e2e/run $(PYTEST_ARGS)

e2e-parts: $(MADE)/e2e web/dist/page.js ## what `make e2e` installs and builds: Debian, PyPI, npm, Go
	@tests/e2e/install

bench: $(MADE)/bench ## all figures against the pinned peers: JSON, a page, charts (BENCH_ARGS=--resume)
	$(BIN)/python bench/report.py $(BENCH_ARGS)

bench-gate: $(MADE)/bench ## the latency budget on every kernel; fails when it is broken
	$(BIN)/python bench/gates.py $(BENCH_ARGS)

bench-record: $(MADE)/bench ## what this machine reaches, into bench/budgets.toml
	$(BIN)/python bench/record.py

bench-tables: $(MADE)/bench ## pytest-benchmark's tables
	$(BIN)/python -m pytest bench --benchmark-enable --benchmark-only \
	    --benchmark-columns=min,median,iqr,max $(PYTEST_ARGS)

bench-compare: $(MADE)/bench ## two commits in turns: make bench-compare BASE=main HEAD=HEAD
	$(BIN)/python bench/compare.py $(BASE) $(HEAD)

bench-peers:     ## the C peers, from Debian (as root)
	apt-get install -y --no-install-recommends libipsec-mb-dev libssl-dev

test-c: $(MADE)/test ## the C core without Cython, through cffi
	$(BIN)/python -m pytest tests/c_core $(PYTEST_ARGS)

arm64: $(MADE)/test  ## the C core for ARM, compiled here and run by an emulator (root, once, for Debian's packages)
	@tests/arm64/install
	@tests/arm64/interpreter
	@$(BIN)/python -m pytest $(IN_PARALLEL) tests/arm64 $(PYTEST_ARGS)

install-c:       ## the C library, headers, manual page: PREFIX=/usr/local DESTDIR= CC= CFLAGS=
	@$(MAKE) --no-print-directory -C csrc install

test-libsfr: $(MADE)/libsfr ## that, by gcc, clang and musl, and the vectors through it; csrc/ compiled for macOS and Windows
	$(BIN)/python -m pytest tests/libsfr $(PYTEST_ARGS)

coverage: $(MADE)/test ## the suite with line and branch coverage of the Python code
	$(BIN)/python -m pytest --cov --cov-report=term-missing $(PYTEST_ARGS)

wheels: $(MADE)/wheels ## wheels for Linux, x86-64 and ARM, glibc and musl: built, checked, tried
	@if sh tools/node_is_here.sh; then $(MAKE) --no-print-directory web/dist/frame-worker.js; fi
	$(BIN)/python tools/wheels $(WHEELS_ARGS)

wheel: $(MADE)/python ## a wheel in dist/; with the browser's files where there is Node
	@if sh tools/node_is_here.sh; then $(MAKE) --no-print-directory web/dist/frame-worker.js; fi
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .

clean:           ## remove everything that was built
	rm -rf $(VENV) build dist web/build web/dist web/node_modules src/*.egg-info .pytest_cache .mypy_cache .ruff_cache \
	    .import_linter_cache .hypothesis .benchmarks htmlcov .coverage*
	rm -f src/pysframe/engine/_native*.so
	find src tests bench -name __pycache__ -prune -exec rm -rf {} +

# ---- what the commands above stand on ----

$(MADE)/python:
	@command -v $(PYTHON) >/dev/null || { \
	    echo "pysframe: $(PYTHON) was not found. On Debian or Ubuntu:"; \
	    echo "    sudo apt install python3 python3-venv python3-dev gcc"; exit 1; } >&2
	@$(PYTHON) tools/preflight.py '$(PYSFRAME_BUILD)' $(MAKECMDGOALS)
	@echo "== $(VENV): a virtual environment with the build tools"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install 'setuptools>=80' 'cython>=3.3,<4'
	@mkdir -p $(MADE) && touch $@

# What was asked is in the name: to ask for something else builds again.
$(MADE)/engine-$(BUILD): $(MADE)/python $(NATIVE_SOURCES)
	@echo "== building pysframe and installing it into $(VENV) (native engine: $(BUILD))"
	@$(PYTHON) tools/preflight.py '$(PYSFRAME_BUILD)' $(MAKECMDGOALS)
	@rm -f $(MADE)/engine-* src/pysframe/engine/_native*.so
	@PYSFRAME_BUILD=$(BUILD) $(PIP) install --verbose --no-build-isolation --no-deps --editable . >$(VENV)/build.log 2>&1 || \
	    { tail -n 40 $(VENV)/build.log; exit 1; }
	@sed -n 's/^ *pysframe: /pysframe: /p' $(VENV)/build.log
	@touch $@

web/dist/frame-worker.js: web/node_modules/.made $(wildcard web/*.ts web/*.mjs web/*/*.ts)
	npm --prefix web run build

web/node_modules/.made: web/package.json web/package-lock.json tools/node_is_here.sh
	@sh tools/node_is_here.sh
	@echo "== installing what web/ is built and tested with into web/node_modules"
	@npm --prefix web ci --no-audit --no-fund
	@touch $@

# For `make e2e`; `make web` builds it as well, with its tests.
web/dist/page.js: web/node_modules/.made $(WEB_SOURCES)
	@npm --prefix web run build

$(MADE)/$(ACTIONLINT): tools/go_is_here.sh | $(MADE)/python
	@PATH="$$PATH:/usr/local/go/bin" sh tools/go_is_here.sh
	@echo "== building actionlint into $(VENV)"
	@PATH="$$PATH:/usr/local/go/bin" GOTOOLCHAIN=local GOBIN="$(CURDIR)/$(BIN)" \
	    go install github.com/rhysd/actionlint/cmd/$(ACTIONLINT)
	@touch $@

$(MADE)/call $(MADE)/test $(MADE)/dev $(MADE)/bench $(MADE)/mutants $(MADE)/e2e $(MADE)/wheels $(MADE)/libsfr: $(MADE)/engine-$(BUILD) pyproject.toml
	@echo "== installing what '$(@F)' needs into $(VENV)"
	@$(PIP) install 'pysframe[$(@F)]'
	@$(BIN)/python -c "import pysframe; b = pysframe.backend_info(); print('== engine:', b.engine, b.kernel)"
	@touch $@
