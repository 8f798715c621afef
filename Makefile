# The same verbs for a newcomer and for CI. Everything lives in .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What tests load into a browser to look for barriers.
AXE := tests/web/node_modules/.ready
# A process for each core, up to four. A file's tests stay together, as they share what they have started; the
# long ones are in the first files, and begin first.
TOGETHER := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Every process that a test starts reads what was compiled once; without it each compiles the adapter anew.
unexport PYTHONDONTWRITEBYTECODE

SLOWEST := $(if $(DURATIONS),--durations $(DURATIONS) --durations-min 0.2)

.PHONY: run test fast lint soak bench pictures clean

run: $(READY)  ## Start the adapter with a simulated region on the embedded store
	DISCHARGE_ADAPTER_REGION=fixtures/regions/indre-sogn.toml $(BIN)/discharge-adapter run --demo

test: $(READY) $(AXE)  ## All tests but the long counts; DURATIONS=30 shows what the thirty slowest steps take
	$(BIN)/python -m pytest -m "not soak" $(TOGETHER) $(SLOWEST)

fast: $(READY)  ## Without network servers of their own, browser or PostgreSQL
	$(BIN)/python -m pytest -m "not soak and not browser and not postgres and not slow" $(TOGETHER)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(READY) $(AXE)  ## The full counts of kills, seeds and mutations; DURATIONS as for test
	$(BIN)/python -m pytest -m soak --timeout 2400 $(TOGETHER) $(SLOWEST)

bench: $(READY)  ## Figures, printed with the machine; ONLY=fhir and the like for a part, KEEP=folder for a filled store
	$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(KEEP),--keep $(KEEP))

pictures: $(READY)  ## The pages as docs/pictures/ shows them, made anew by a clock that stands still
	$(BIN)/python -m tests.pictures $(if $(ONLY),--only $(ONLY))

clean:
	rm -rf $(VENV) $(dir $(AXE))

$(AXE): tests/web/package.json
	cd tests/web && npm install --no-package-lock --no-audit --no-fund --silent
	touch $(AXE)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[postgres,dev]"
	touch $(READY)
