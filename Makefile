# make demo   serve the demo on http://HOST:PORT (the environment is made first)
# make test   run every test
# make lint   ruff and mypy
# make env    only make .venv; again only after requirements.txt has changed

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 7860

BIN := .venv/bin
ENV := .venv/.requirements-installed

.PHONY: demo test lint env clean-env

demo: $(ENV)
	$(BIN)/python app.py --host $(HOST) --port $(PORT)

test: $(ENV)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder # a file's tests share servers and models

lint: $(ENV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy lrsclip train app tests benchmarks assets
	@# As a command, because as a file it would be a second module "app" beside the package app/.
	$(BIN)/mypy --command "$$(cat app.py)"

env: $(ENV)

clean-env:
	rm -rf .venv

# The stamp is written last, so that an interrupted installation is taken up again.
$(ENV): requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), but 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.txt
	@touch $@
