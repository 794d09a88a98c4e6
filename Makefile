# Everything a person or CI does here. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# The client for Node is built where there is one.
NODE := clients/node
NODE_CLIENT := $(if $(shell command -v npm),$(NODE)/dist/index.js)

# The daemon's start is measured with byte code present; a caller's habit of not writing any stays outside.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install backends demo test test-backends test-installers test-vllm check bench screenshots simulate chaos fuzz lock proto clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: backends $(NODE_CLIENT)  ## .venv with all that the tests need, llama-server and Ollama, and the Node client

backends: $(INSTALLED)
	@$(PY) -m zoe_grpcd.localbackends

demo: backends  ## a streamed answer from one of three real local servers, and why from that one
	@$(VENV)/bin/zoe-grpcd demo

test: install  ## every test, on real servers, two files at a time
	@$(PY) -m pytest --numprocesses 2 --dist loadfile

test-backends: install  ## the tests on servers that are installed for them: llama-cpp-python, Triton
	@$(PY) -m pytest tests/backends

test-installers: install  ## pipx and uv install the built wheels offline; an index fills the folder of wheels before
	@$(PY) -m pytest tests/installers

test-vllm: install  ## the tests on real vLLMs: 2.3 GB, and pip has to find torch for the CPU (2.13.0+cpu)
	@$(PY) -m pytest -o faulthandler_timeout=600 tests/vllm

check: $(INSTALLED) $(NODE_CLIENT)  ## format, lint, types, import contracts, proto lint and drift
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/buf lint protos
	@$(PY) protos/generate.py --check
	@$(PY) protos/generate_node.py --check
	@# A .pth file runs at every start of Python: none may come with LiteLLM, as one once did.
	@! find $(VENV)/lib -name '*litellm*.pth' | grep .

bench: install  ## the README's figures, measured here
	@$(PY) -m benchmarks

simulate: install  ## the decisions against rivals and an oracle, in simulated time and on real servers
	@$(PY) -m benchmarks.simulation
	@$(PY) -m benchmarks.simulation --live

screenshots: install  ## the README's pictures anew, of a daemon that works for 20 minutes; needs Chromium
	@PYTHONPATH=tests $(PY) docs/screenshots.py

chaos: install  ## a backend killed in the middle of each of 300 streams, and what their callers saw
	@$(PY) -m benchmarks.chaos

fuzz: $(INSTALLED)  ## a real daemon under 100,000 hostile requests, and bytes that are no requests
	@PYTHONPATH=tests $(PY) -m fuzzing

lock: $(PY)  ## resolves requirements.lock anew, for every Python and platform, with hashes
	@$(PY) -m pip install --quiet --upgrade --target .cache/uv uv==0.13.8
	@.cache/uv/bin/uv pip compile pyproject.toml --group dev --all-extras --upgrade --quiet \
	  --universal --python-version 3.11 --generate-hashes --no-emit-package zoe-grpc-client \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --output-file requirements.lock

proto: $(INSTALLED) $(NODE_CLIENT)  ## the generated stubs anew from the protos
	@$(PY) protos/generate.py
	@$(PY) protos/generate_node.py

clean:  ## nothing left that make made in this folder
	rm -rf $(VENV) .cache build dist $(NODE)/dist $(NODE)/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "This needs Python 3.11 or newer as $(PYTHON); name another one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) has no venv or pip of its own; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(INSTALLED): requirements.lock pyproject.toml clients/python/pyproject.toml | $(PY)
	@echo "installing the locked packages into $(VENV) (a minute or two, once)"
	@$(PY) -m pip install --quiet --require-hashes --requirement requirements.lock
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable clients/python --editable .
	@$(PY) -m compileall -q zoe_grpcd clients/python
	@touch $@

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json
	@cd $(NODE) && npm ci --ignore-scripts --loglevel=error
	@touch $@

$(NODE)/dist/index.js: $(NODE)/node_modules/.package-lock.json $(NODE)/tsconfig.json $(NODE)/copy.mjs \
    $(shell find $(NODE)/src protos -name '*.ts' -o -name '*.proto') clients/python/src/zoe_client/service_config.json
	@cd $(NODE) && npm run --silent --loglevel=error build
	@touch $@
