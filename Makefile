# The front door. Works from any folder, also one with spaces in its path: all paths here are relative.
.DEFAULT_GOAL := help
.PHONY: help demo test check check-style check-types check-imports check-generated test-servers soak bench bench-edge bench-dashboards generate pictures lock clean distclean environment environment-dev

PYTHON_HERE := .venv/bin/python
# DURATION (s), PORT and DEMO (further options) belong to `make demo`; ARGS to pytest and the benchmarks.
# Most tests wait for servers and for each other: one process more than there are processors, at most four.
WORKERS := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
LOCK := uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
export PYTHON

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: environment ## Run the whole platform here; DURATION=60 ends by itself, PORT=8100 is the page's
	@exec $(PYTHON_HERE) -m qytet demo run $(if $(DURATION),--duration '$(DURATION)') $(if $(PORT),--port '$(PORT)') $(DEMO)

test: test-servers ## Run every test that fits into a quarter of an hour; ends with what was skipped and why
	@exec $(PYTHON_HERE) -m pytest -m "not soak" --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: check-style check-types check-imports check-generated ## Lint, check types, imports and generated files

check-style: environment-dev
	$(PYTHON_HERE) -m ruff check .
	$(PYTHON_HERE) -m ruff format --check .

check-types: environment-dev
	$(PYTHON_HERE) -m mypy

check-imports: environment-dev
	.venv/bin/lint-imports

check-generated: environment-dev
	$(PYTHON_HERE) contract/generate.py --check
	.venv/bin/qytet dashboards build --check
	$(PYTHON_HERE) docs/alerts_page.py --check
	$(PYTHON_HERE) docs/boards_page.py --check
	$(PYTHON_HERE) docs/generate.py --check

test-servers: environment-dev
	@$(PYTHON_HERE) -m tests.servers.prepare

soak: test-servers ## Run the long versions of the tests (hours)
	@exec $(PYTHON_HERE) -m pytest -m soak --timeout=0 $(ARGS)

bench: environment-dev ## Measure the database's own COPY and the whole path, and print the ratio
	@exec $(PYTHON_HERE) -m tests.bench.run $(ARGS)

bench-edge: test-servers ## Measure how fast a gateway's backlog drains, and what live readings wait meanwhile
	@exec $(PYTHON_HERE) -m tests.bench.edge $(ARGS)

bench-dashboards: test-servers ## Measure every panel's query over 30 days of three cities; fails above 200 ms
	@exec $(PYTHON_HERE) -m tests.bench.dashboards $(ARGS)

generate: environment-dev ## Make the generated files anew
	$(PYTHON_HERE) contract/generate.py
	.venv/bin/qytet dashboards build
	$(PYTHON_HERE) docs/alerts_page.py
	$(PYTHON_HERE) docs/boards_page.py
	$(PYTHON_HERE) docs/generate.py
	.venv/bin/qytet api openapi --output docs/reference/openapi.json
	.venv/bin/qytet api reference --output docs/reference/api.md

pictures: test-servers ## Draw the tutorial's pictures of the terminal anew, from what the commands say
	@$(PYTHON_HERE) docs/pictures.py

lock: ## Choose the newest versions of all packages and lock them with hashes (needs uv)
	$(LOCK) --extra dev pyproject.toml requirements/build.in -o requirements/dev.txt
	$(LOCK) --extra demo pyproject.toml requirements/build.in -c requirements/dev.txt -o requirements/run.txt
	$(LOCK) --extra edge pyproject.toml requirements/build.in -c requirements/dev.txt -o requirements/edge.txt

clean: ## Delete the demo's data: the database, the broker's store, the logs
	@sh scripts/clean.sh

distclean: clean ## Delete the Python environment and the tools' caches, too
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@sh scripts/environment.sh run

environment-dev:
	@sh scripts/environment.sh dev
