# Two commands do everything: `make repro` and `make test`. Both set up .venv first, where that is due.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev

DETECTRON2 := git+https://github.com/facebookresearch/detectron2@02b5c4e295e990042a714712c21dc79b731e8833

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; call make with PYTHON=python3.12, say")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.txt)"
	$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.PHONY: setup
setup: .venv/ready ## Make .venv with the pinned packages and this one

.PHONY: mmseg
mmseg: setup ## Add mmsegmentation to .venv, for segmentation.backend mmseg
	$(BIN)/uv pip install --quiet --require-hashes -r requirements-mmseg.txt

.PHONY: detectron2
detectron2: setup ## Build detectron2 into .venv with a C++ compiler, for instances.backend detectron2
	$(BIN)/uv pip install --quiet --require-hashes -r requirements-detectron2.txt
	MAX_JOBS=$${MAX_JOBS:-2} $(BIN)/uv pip install --quiet --no-deps --no-build-isolation "detectron2 @ $(DETECTRON2)"

.PHONY: repro
repro: setup ## Run the whole experiment, as far as anything changed
	dvc repro

.PHONY: ui
ui: setup ## Serve MLflow's pages about all runs at http://127.0.0.1:5000
	python -m synth2real.tracking ui

.PHONY: gradio
gradio: setup
	$(BIN)/uv pip install --quiet --require-hashes -r requirements-page.txt

.PHONY: page
page: gradio ## Serve a page to paint label maps and segment photos at http://127.0.0.1:7860
	python -m synth2real.page

.PHONY: test-page
test-page: gradio ## Test that page in headless Chromium, which must be installed
	pytest tests/page

.PHONY: check
check: setup ## Lint, types, layering, dependencies, spelling, stage code lists
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	deptry .
	codespell
	python -m synth2real.pipeline

.PHONY: test
test: check ## All checks and all tests, with two whole runs of the ci preset
	pytest

.PHONY: bench
bench: setup ## Measure the speed of rendering and evaluation
	for benchmark in $(basename $(notdir $(wildcard benchmarks/[a-z]*.py))); do python -m benchmarks.$$benchmark || exit 1; done

.PHONY: lock
lock: setup ## Compile requirements.txt and those of the extras mmseg, detectron2 and page from pyproject.toml again
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) --extra mmseg pyproject.toml --constraints requirements.txt --output-file requirements-mmseg.txt
	$(COMPILE) --extra detectron2 pyproject.toml --constraints requirements.txt --output-file requirements-detectron2.txt
	$(COMPILE) --extra page pyproject.toml --constraints requirements.txt --output-file requirements-page.txt
