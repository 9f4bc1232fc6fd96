# Two verbs for a newcomer: `make demo` and `make test`. uv is used if it is on PATH; otherwise a
# private one is put into .cache/, and nothing outside this folder is touched.
PYTHON ?= python3
UPTO ?= 4
PAGES = cli questions settings
LIBRARY_TESTS := $(CURDIR)/machinery/tests
UV := $(shell command -v uv || echo .cache/uv/bin/uv)

# The library and its governance, which share one version (decision 62).
WHEELS = machinery machinery/governance
BUILD = SOURCE_DATE_EPOCH=1577836800 $(UV) build --quiet --wheel --no-create-gitignore

.PHONY: demo test test-generator test-library test-velocity test-governance check lint docs docs-check site gallery wheel wheel-check

demo: $(UV)
	@$(UV) run --quiet --no-dev rung demo --upto $(UPTO)

# The generator's tests, and beside them the library's, whose output follows: tests wait for servers,
# disks and each other, so two cores have room for four processes.
test: $(UV)
	@$(UV) sync --quiet --group machinery
	@$(MAKE) --silent --keep-going --jobs 3 test-generator test-library; code=$$?; \
	  echo "The library's tests, in a project of each game:"; cat $(GAMES:%=.cache/%_tests.log); exit $$code

PYTEST = $(UV) run --quiet --group machinery pytest
GAMES = velocity governance

# In memory, where that has room, the many small files that they write take a fifth less of the time.
# A file is not cut: some of its tests go on from one another, and what it makes once would be made twice.
test-generator:
	@free=$$(df -Pk /dev/shm 2>/dev/null | awk 'END { print $$4 }'); \
	  [ "$${free:-0}" -lt 4000000 ] || folder=/dev/shm; \
	  TMPDIR=$$(mktemp -d "$${folder:-$${TMPDIR:-/tmp}}/rung-tests-XXXXXX") && export TMPDIR && \
	  trap 'rm -rf "$$TMPDIR"' EXIT INT TERM && $(PYTEST) --numprocesses 2 --dist loadfile

# One process for each game: what the library imports takes it ten seconds.
test-library:
	@$(MAKE) --silent --keep-going $(GAMES:%=test-%)

test-velocity: in = $(LIBRARY_TESTS)
test-governance: in = $(CURDIR)/machinery/governance/tests
$(GAMES:%=test-%): test-%:
	@mkdir -p .cache
	@RUNG_GAME=$* $(PYTEST) $(in) > .cache/$*_tests.log 2>&1

check: lint
	@$(MAKE) --silent docs-check wheel-check test

lint: $(UV)
	@$(UV) run --quiet ruff check .
# Private modules of others are not imported, and text has its encoding: rules that Ruff has as a preview.
	@$(UV) run --quiet ruff check --quiet --preview --select PLC2701,PLW1514 generator machinery/rung_ops
# Text in a link's place would be what `rung eject` writes over a user's file.
	@! find templates/ejected -type f ! -name .gitignore ! -name .gitattributes | \
	  sed 's|\(.*\)/\(.*\)|\1/\2 must be a link: ln -sf ../project/\2 \1/\2|' | grep .
# What the checks of a project would find after minutes.
	@$(UV) run --quiet ruff check --quiet --isolated --line-length 100 --config 'src=["templates/project"]' --select E501,F,I templates/project
	@$(UV) run --quiet ruff format --check .
	@$(UV) run --quiet --group machinery lint-imports --no-logo
	@$(UV) run --quiet --group machinery mypy

docs: $(UV)
	@mkdir -p .cache && $(UV) run --quiet rung levels --markdown > .cache/levels.md
	@mv .cache/levels.md docs/levels.md
	@$(UV) run --quiet --group machinery python -m rung_ops.reference > .cache/machinery.md
	@mv .cache/machinery.md docs/machinery.md
	@$(UV) run --quiet python docs/generate/tried.py > .cache/governance-controls.md
	@mv .cache/governance-controls.md docs/governance-controls.md
	@for page in $(PAGES); do \
	  $(UV) run --quiet python docs/generate/$$page.py > .cache/$$page.md && \
	  mv .cache/$$page.md docs/$$page.md || exit 1; done
	@$(UV) run --quiet --group machinery python docs/generate/replay.py > .cache/replay.svg
	@mv .cache/replay.svg docs/replay.svg
	@for shape in report report-narrow; do \
	  $(UV) run --quiet --group machinery python docs/generate/report.py $$shape > .cache/$$shape.svg && \
	  mv .cache/$$shape.svg docs/$$shape.svg || exit 1; done
	@$(UV) run --quiet python docs/generate/climb.py > .cache/climb.svg
	@mv .cache/climb.svg docs/climb.svg
	@$(UV) run --quiet python docs/generate/frames.py
	@$(UV) run --quiet --group machinery python tests/assets/example_text.py > .cache/example_text.txt
	@mv .cache/example_text.txt machinery/governance/rung_governance/example_text.txt

docs-check: $(UV)
	@$(UV) run --quiet rung levels --markdown | diff docs/levels.md - || { \
	  echo "docs/levels.md is out of date: make docs"; exit 1; }
	@$(UV) run --quiet --group machinery python -m rung_ops.reference | diff docs/machinery.md - || { \
	  echo "docs/machinery.md is out of date: make docs"; exit 1; }
	@$(UV) run --quiet python docs/generate/tried.py | diff docs/governance-controls.md - || { \
	  echo "docs/governance-controls.md is not what machinery/tests try: make docs"; exit 1; }
	@for page in $(PAGES); do \
	  $(UV) run --quiet python docs/generate/$$page.py | diff docs/$$page.md - || { \
	  echo "docs/$$page.md is out of date: make docs"; exit 1; }; done
	@$(UV) run --quiet --group machinery python docs/generate/replay.py | diff docs/replay.svg - || { \
	  echo "docs/replay.svg is out of date: make docs"; exit 1; }
	@for shape in report report-narrow; do \
	  $(UV) run --quiet --group machinery python docs/generate/report.py $$shape | diff docs/$$shape.svg - || { \
	  echo "docs/$$shape.svg is out of date: make docs"; exit 1; }; done
	@$(UV) run --quiet python docs/generate/climb.py | diff docs/climb.svg - || { \
	  echo "docs/climb.svg is out of date: make docs"; exit 1; }
	@$(UV) run --quiet python docs/generate/frames.py --check

# The documentation as a site in .cache/site; a broken link or anchor fails.
site: $(UV)
	@NO_MKDOCS_2_WARNING=1 $(UV) run --quiet --isolated --only-group docs mkdocs build --strict

# Projects of both games on each rung with their pages, into .cache/site/gallery: some ten minutes.
gallery: $(UV)
	@$(UV) run --quiet python docs/generate/gallery.py

# The wheels of machinery/ that projects carry in vendor/: the same source gives the same bytes.
wheel: $(UV)
	@rm -f templates/project/vendor/*.whl
	@for source in $(WHEELS); do $(BUILD) --out-dir templates/project/vendor $$source || exit 1; done

wheel-check: $(UV)
	@rm -rf .cache/wheel
	@for source in $(WHEELS); do $(BUILD) --out-dir .cache/wheel $$source || exit 1; done
	@diff -r .cache/wheel templates/project/vendor || { \
	  echo "A wheel in templates/project/vendor is not what machinery/ builds to: make wheel"; exit 1; }

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
