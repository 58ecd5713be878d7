# From a fresh machine to a finished run. `make` alone lists what there is to do.
#
# Set-up leaves a stamp in .venv for each finished step, so that a second call has nothing to do; an interrupted
# step leaves none and is done again. pyproject.toml is the only list of packages, constraints.txt the tested set.

PYTHON   ?= python3
PROFILE  ?= quick
LAB_ARGS ?=
BENCH_ARGS ?= --quick
PACK     ?= dist/pack

# Threads that wait for work sleep instead of spinning: the cores are shared with a browser and other people's kernels.
export OMP_WAIT_POLICY ?= PASSIVE

VENV := .venv
RUN  := $(VENV)/bin/python

# The models lie outside .venv, in a folder that KIT_HOME or HOME moves: one stamp for each such
# place. The stamp names the folder, and counts for nothing once that folder is gone.
PLACE  := $(shell printf '%s|%s' "$$KIT_HOME" "$$HOME" | cksum | cut -d ' ' -f 1)
MODELS := $(VENV)/.models-$(PLACE)
GONE   := $(shell test -d "$$(cat $(MODELS) 2>/dev/null)" || rm -f $(MODELS))

# JupyterLab's own settings inside .venv: no question about news from the network; and root, the usual guest in a
# container, may start it.
SETTINGS := $(VENV)/share/jupyter/lab/settings/overrides.json
AS_ROOT  := $(if $(filter 0,$(shell id -u)),$(VENV)/etc/jupyter/jupyter_server_config.json)

.DEFAULT_GOAL := help
.PHONY: help setup lab test run worlds lint format peers bench site slides pack clean

help:
	@echo 'make lab     set up, then open the first notebook in JupyterLab'
	@echo 'make run     set up, run every notebook without a browser'
	@echo '             (PROFILE=quick unless told otherwise: make run PROFILE=workshop)'
	@echo 'make worlds  ask the demonstrations of notebooks 00 and 01 in two other worlds'
	@echo 'make test    set up, then run every test'
	@echo 'make lint    look at the code with ruff; make format writes it in its style'
	@echo 'make bench   set up, install what the kit is compared with, measure, write docs/speed.md'
	@echo '             (quick sizes unless told otherwise: make bench BENCH_ARGS=)'
	@echo 'make peers   install only what the kit is compared with: the benchmarks and their tests need it'
	@echo 'make site    make the notebooks into pages that open without Jupyter, in site/'
	@echo 'make slides  set up, then make the slides of a workshop'
	@echo 'make pack    set up, then put packages, models and the kit into PACK=$(PACK), to install without a network'
	@echo 'make setup   only set up: packages in .venv, two models, a notebook kernel'
	@echo 'make clean   remove .venv and all caches inside this folder; your results and the models stay'
	@echo 'PYTHON=...   which Python to use for .venv (3.11, 3.12 or 3.13), LAB_ARGS=... more options for JupyterLab'

setup: $(VENV)/.packages $(MODELS) $(SETTINGS) $(AS_ROOT)

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { echo 'No program called $(PYTHON). Install Python 3.11 or newer, or name yours: make setup PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] < (3, 14) else "$(PYTHON) is Python %d.%d, but the kit needs 3.11, 3.12 or 3.13. Name another one: make setup PYTHON=python3.11" % v[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo '$(PYTHON) has no venv module. On Debian and Ubuntu: sudo apt install python3-venv'; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.packages: $(VENV)/.python pyproject.toml constraints.txt
	@rm -f $@
	$(RUN) -m pip install --disable-pip-version-check -c constraints.txt -e '.[test]'
	$(RUN) -m ipykernel install --sys-prefix --name rag-or-fine-tuning --display-name 'RAG or fine-tuning?' --env OMP_WAIT_POLICY PASSIVE
	@touch $@

$(SETTINGS): $(VENV)/.packages
	@mkdir -p $(@D)
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}' >$@

$(VENV)/etc/jupyter/jupyter_server_config.json: $(VENV)/.packages
	@mkdir -p $(@D)
	@echo '{"ServerApp": {"allow_root": true}}' >$@

$(MODELS): $(VENV)/.packages
	@rm -f $@
	$(RUN) -m helpers fetch
	@$(RUN) -c 'from helpers.models import kit_home; print(kit_home())' >$@.part && mv $@.part $@

lab: setup
	$(RUN) -m jupyterlab --ServerApp.ip=127.0.0.1 \
	  --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/00_five_minutes.ipynb \
	  --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate --LabApp.news_url=None \
	  --LabApp.extension_manager=readonly $(LAB_ARGS)

test: setup
	$(RUN) -m pytest -q --numprocesses 2 --dist loadfile --no-loadscope-reorder

run: setup
	$(RUN) -m tools.notebooks --profile $(PROFILE)

worlds: setup
	$(RUN) -m tools.worlds

lint: $(VENV)/.packages
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: $(VENV)/.packages
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# What the benchmarks compare the kit with; nobody else needs it.
$(VENV)/.bench: $(VENV)/.packages
	@rm -f $@
	$(RUN) -m pip install --disable-pip-version-check -c constraints.txt -e '.[test,bench]'
	@touch $@

peers: $(VENV)/.bench

bench: setup peers
	$(RUN) -m tools.benchmarks.latest $(BENCH_ARGS)

slides: setup
	$(RUN) -m tools.slides

site: $(VENV)/.packages
	$(RUN) -m tools.site

pack: setup
	$(RUN) -m tools.pack --out $(PACK)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} + -o -name .ipynb_checkpoints -prune -exec rm -rf {} +
