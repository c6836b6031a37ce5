# Everything lives in .venv/ at the root; `rm -rf .venv` undoes it. A second run does no work twice.
#   make demo    the whole lab once, end to end: protocol -> queue -> worker -> note
#   make test    the tests         make test-slow   the long ones too
#   make lint    ruff and mypy     make bench       the benchmarks
# PYTHON=python3.12 chooses the interpreter; TORCH_INDEX=URL another wheel index for torch.
PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PYTEST_ARGS ?=
# Caches (pip's, matplotlib's, golab's code snapshots) and the worker's local files stay inside .venv/ too.
export XDG_CACHE_HOME := $(CURDIR)/$(VENV)/cache
export GOLAB_LOCAL := $(CURDIR)/$(VENV)/local

# A job runs the code snapshot taken at submit, from PYTHONPATH. The editable install's import hook would win over
# that, so a plain path entry takes its place (lab/code.py refuses to run a snapshot that is shadowed).
define PLAIN_PATH
import pathlib, sysconfig
site = pathlib.Path(sysconfig.get_path("purelib"))
for hook in site.glob("_editable_skbc_golab.*"):
    hook.unlink()
(site / "golab.pth").write_text(str(pathlib.Path.cwd()) + "\n")
endef
export PLAIN_PATH

.PHONY: demo test test-slow lint bench core setup clean
.DELETE_ON_ERROR:

demo: setup
	@$(BIN)/lab init --quiet .
	@$(BIN)/lab run protocols/first-light.yaml

test: setup
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-slow: setup
	$(BIN)/python -m pytest -m "slow or not slow" $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python bench/playouts.py --size 9
	$(BIN)/python bench/search.py --size 9
	$(BIN)/python bench/evaluator.py
	$(BIN)/python bench/selfplay.py
	$(BIN)/python bench/queue.py

setup: core

# The compiled core and the `lab` command: again only when C++ sources or the project file change.
core: $(STAMPS)/core
$(STAMPS)/core: $(STAMPS)/deps pyproject.toml cpp/build/CMakeLists.txt $(wildcard cpp/*.h cpp/*.cpp)
	@echo "compiling the core (a minute or two) ..."
	@$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@$(BIN)/python -c "$$PLAIN_PATH"
	@touch $@

$(STAMPS)/deps: $(STAMPS)/venv constraints.txt requirements.txt
	@echo "installing dependencies into $(VENV)/ ..."
	@$(PIP) install --quiet --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	@$(PIP) install --quiet --constraint constraints.txt --requirement requirements.txt
	@touch $@

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit("golab needs Python 3.11 or newer; this is " + sys.version.split()[0] + ": make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

clean:
	rm -rf $(VENV) gocore/_core*.so
	find cpp/build -mindepth 1 -not -name CMakeLists.txt -delete
