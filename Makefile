# make demo   serve the demo on http://HOST:PORT (what serving needs is installed first: some 4 GB, 8 GB on disk)
# make test   run every test (installs the rest too: another 0.2 GB, 1 GB on disk)
# make quick  run what needs no browser, no server and no training
# make lint   ruff and mypy
# make env    only install what serving needs; again only after requirements.txt has changed

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 7860

BIN := .venv/bin
SERVING := .venv/.serving-installed
REST := .venv/.rest-installed
LISTS := requirements/train.txt requirements/data-engine.txt requirements/test.txt
PIP := $(BIN)/python -m pip install --disable-pip-version-check

.PHONY: demo test quick lint env clean-env

demo: $(SERVING)
	$(BIN)/python app.py --host $(HOST) --port $(PORT)

test: $(REST)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder # a file's tests share servers and models

quick: $(REST)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not browser and not slow"

lint: $(REST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy lrsclip train app tests benchmarks assets
	@# As a command, because as a file it would be a second module "app" beside the package app/.
	$(BIN)/mypy --command "$$(cat app.py)"

env: $(SERVING)

clean-env:
	rm -rf .venv

# Each stamp is written last, so that an interrupted installation is taken up again.
$(SERVING): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), but 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing what serving needs: with PyTorch for CUDA some 4 GB to download and 8 GB on disk, once." >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(PIP) --requirement requirements.txt
	$(PIP) --no-deps --editable .
	@touch $@

$(REST): $(SERVING) $(LISTS)
	@echo "Installing what training and the tests need beside it: some 0.2 GB to download and 1 GB on disk, once." >&2
	$(PIP) $(addprefix --requirement ,$(LISTS))
	@touch $@
