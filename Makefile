# Two verbs for a newcomer: `make demo` and `make test`. uv is used if it is on PATH; otherwise a
# private one is put into .cache/, and nothing outside this folder is touched.
PYTHON ?= python3
UPTO ?= 4
UV := $(shell command -v uv || echo .cache/uv/bin/uv)

.PHONY: demo test check docs wheel

demo: $(UV)
	@$(UV) run --quiet rung demo --upto $(UPTO)

test: $(UV)
	@$(UV) run --quiet pytest --numprocesses 2 --dist worksteal

check: $(UV)
	@$(UV) run --quiet ruff check .
	@$(UV) run --quiet ruff format --check .
	@$(UV) run --quiet mypy
	@$(UV) run --quiet pytest --numprocesses 2 --dist worksteal

docs: $(UV)
	@mkdir -p .cache && $(UV) run --quiet rung levels --markdown > .cache/levels.md
	@mv .cache/levels.md docs/levels.md

.cache/uv/bin/uv:
	@command -v git >/dev/null || { echo "git is missing. Install it, then run make again."; exit 1; }
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) is missing. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is `$(PYTHON) -V 2>&1`; Rung needs 3.11 or newer. Install one and name it: make PYTHON=/path/to/python."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv. Install it (on Debian and Ubuntu: apt install python3-venv) or uv, then run make again."; exit 1; }
	@echo "uv is not on PATH: installing it into .cache/uv"
	@rm -rf .cache/uv.new && mkdir -p .cache && $(PYTHON) -m venv .cache/uv.new && \
	  .cache/uv.new/bin/python -m pip install --quiet --disable-pip-version-check uv || { \
	  echo "uv could not be installed, see above. Check the network, or install uv yourself, then run make again."; exit 1; }
	@rm -rf .cache/uv && mv .cache/uv.new .cache/uv

# The wheel of machinery/ that projects carry in vendor/; the same bytes each time.
wheel: $(UV)
	@rm -f templates/project/vendor/*.whl
	@SOURCE_DATE_EPOCH=1577836800 $(UV) build --quiet --wheel machinery --out-dir templates/project/vendor --no-create-gitignore
