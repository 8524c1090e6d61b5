# The Python to build on (3.10 to 3.13), and where the environment goes.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test coverage matrix lint format site lock clean

help:  ## list the targets
	@echo "usage: make TARGET [PYTHON=python3] [VENV=.venv]"; echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

install: $(INSTALLED)  ## install everything into .venv (first time: some minutes)

demo: $(INSTALLED)  ## train cross-entropy and Eureka on the bundled corpus, print scores and replies
	@$(BIN)/eureka demo $(ARGS)

test: $(INSTALLED)  ## run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

coverage: $(INSTALLED)  ## run the tests, then show which lines of the packages none has run
	@rm -rf build/coverage && mkdir -p build/coverage
	@OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

matrix: $(INSTALLED)  ## run the integrations' tests over versions of Python, torch and transformers
	@$(BIN)/python scripts/matrix.py $(ARGS)

lint: $(INSTALLED)  ## check style (ruff) and types (mypy)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(INSTALLED)  ## mend style where ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

site: $(INSTALLED)  ## build the site into build/site; a warning is an error
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/site
	@echo "The site is in build/site: open build/site/index.html"

LOCK = $(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes --no-header --quiet $(ARGS)

lock: $(INSTALLED)  ## lock what setup.cfg asks for, keep what is locked (ARGS=--upgrade: the newest of all)
	$(LOCK) requirements/uv.in --output-file requirements/uv.txt
	$(LOCK) setup.cfg --extra dev --excludes requirements/excludes.txt --output-file requirements/lock.txt

clean:  ## remove the environment and what the demo made
	rm -rf $(VENV) runs/demo

$(INSTALLED): requirements/lock.txt requirements/uv.txt setup.cfg pyproject.toml scripts/install.sh
	@sh scripts/install.sh "$(PYTHON)" "$(VENV)"
