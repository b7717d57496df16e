# SPDX-License-Identifier: Apache-2.0
# Every target makes the Python environment it needs, once: .venv, from PyPI.

PYTHON ?= python3
CONFIG ?= hdp_edge
BOARD  ?= ulx3s_85f

VENV   := .venv
BIN    := $(VENV)/bin
MADE   := $(VENV)/.stamp-venv
BASE   := $(VENV)/.stamp-base
DEV    := $(VENV)/.stamp-dev
MODELS := $(VENV)/.stamp-models
QUIET  := --quiet --disable-pip-version-check
# Of campaigns: so many processes, or a Dask cluster.
WHERE   = $(WORKERS:%=--workers %) $(SCHEDULER:%=--scheduler %)

.PHONY: help verilog sim large quick sim-matrix formal bench figures soak mutate mutants poison
.PHONY: coverage models heat fpga netlist
.PHONY: dev lint docs constraints clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

verilog: $(BASE)  ## write build/verilog/$(CONFIG).v and .json (CONFIG: a preset or a TOML file)
	$(BIN)/prunus verilog $(CONFIG) -o build/verilog

sim: $(DEV)  ## prove the RTL bit-exact against the specification: all tests but the large, on Verilator
	@$(BIN)/python prunus/doctor.py sim
	$(BIN)/pytest -q -n auto -m "not large" tests

large: $(DEV)  ## the tests of large designs, of synthesis and of place and route
	@$(BIN)/python prunus/doctor.py sim
	$(BIN)/pytest -q -n auto -m large tests

quick: $(DEV)  ## the specification and every block by itself, in under three minutes of two cores
	$(BIN)/pytest -q -n auto -m "not slow and not large" tests/golden tests/hw

sim-matrix: $(DEV)  ## a short regression of every size (ONLY: patterns of names; WORKERS); 30-90 s to build each
	@$(BIN)/python prunus/doctor.py sim
	$(BIN)/python -m prunus.sim.campaigns.matrix $(ONLY:%=--only %) $(WHERE)

formal: $(DEV)  ## prove by the SMT solver Z3 that early termination is exact, for any width, and so are small units
	$(BIN)/python -m formal

bench: $(DEV)  ## measure cycles into build/bench (CONFIG; DATA: files of further real heads)
	@$(BIN)/python prunus/doctor.py sim
	$(BIN)/prunus bench --config $(CONFIG) $(DATA:%=--data %) $(WHERE) -o build/bench

figures: $(DEV)  ## write the tables of README.md and docs/ from docs/figures (MEASURE: figures to measure again; DATA)
	$(if $(MEASURE),$(BIN)/python -m prunus.figures --measure $(MEASURE) $(DATA:%=--data %))
	$(BIN)/python -m prunus.figures

soak: CONFIG = hdp_tiny
soak: $(DEV)  ## run 10,000 random jobs through the RTL, and as many with faults (CONFIG=hdp_tiny; WORKERS)
	@$(BIN)/python prunus/doctor.py sim
	$(BIN)/python -m prunus.sim.campaigns.soak --jobs 10000 --config $(CONFIG) $(WHERE)
	$(BIN)/python -m prunus.sim.campaigns.soak --faults --jobs 10000 --config $(CONFIG) $(WHERE)

mutate: $(DEV)  ## break the RTL in many places and check that the tests notice (WORKERS)
	@$(BIN)/python prunus/doctor.py sim
	$(BIN)/python -m prunus.sim.campaigns.mutate --markdown docs/mutations.md $(WHERE)

mutants: CONFIG = hdp_tiny
mutants: $(DEV)  ## 500 faults in the emitted Verilog: which do the tests notice, which change nothing (CONFIG; WORKERS)
	@$(BIN)/python prunus/doctor.py sim
	$(BIN)/python -m prunus.sim.campaigns.mutants --config $(CONFIG) --count 500 $(WHERE)

poison: CONFIG = hdp_tiny
poison: $(DEV)  ## 500 pairs of jobs: the second must know nothing of the first (CONFIG=hdp_tiny; WORKERS)
	@$(BIN)/python prunus/doctor.py sim
	$(BIN)/python -m prunus.sim.campaigns.poison --config $(CONFIG) --pairs 500 $(WHERE)

coverage: $(DEV)  ## lines and bits of the Verilog that the tests do not meet, against docs/coverage (WORKERS)
	@$(BIN)/python prunus/doctor.py sim
	$(BIN)/python -m prunus.sim.campaigns.coverage $(WHERE)

models: $(MODELS)  ## install torch and run the tests that need it: models, evaluate, calibrate, infer, training
	$(BIN)/pytest -q -n auto tests/prunus/models tests/prunus/train tests/prunus/evaluate \
		tests/prunus/commands tests/prunus/figures tests/prunus/webpage tests/host/test_uio.py

# A model, a name, its data to learn from and to judge by, and what is asked for.
define HEAT
minilm-sst2 166x sst2/train.tsv sst2/dev.tsv --task sst2 --forms dense,svd --edp 155 --epochs-layers 8 --epochs-codes 3
minilm-sst2 215x sst2/train.tsv sst2/dev.tsv --task sst2 --forms dense,svd --edp 215 --epochs-layers 7 --epochs-codes 4
minilm-sst2 25x-int8 sst2/train.tsv sst2/dev.tsv --task sst2 --forms dense,svd --edp 25 --weights int8 --epochs-layers 8 --epochs-codes 3
minilm-cola 15x cola/train.tsv cola/dev.tsv --task cola --forms dense,svd --edp 15 --epochs-layers 8 --epochs-codes 3
minilm-cola 12x cola/train.tsv cola/dev.tsv --task cola --forms dense,svd --edp 12 --epochs-layers 5 --epochs-codes 8 --rate-codes 0.0003
stories260k dense tinystories/calibration.txt tinystories/dev.txt --task lm --forms dense --edp 1 --weights int8 --epochs-layers 0 --epochs-codes 0 --held-out 40
stories260k int4 tinystories/calibration.txt tinystories/dev.txt --task lm --max-loss 2 --held-out 40
endef
export HEAT
heat: $(MODELS)  ## compress models (IN: folder of them; TEXTS: of their data), 15 min each; count on the RTL
	echo "$$HEAT" | while read -r model name data dev asked; do \
		$(BIN)/prunus compress "$(IN)/$$model" --data "$(TEXTS)/$$data" --dev "$(TEXTS)/$$dev" \
			$$asked -o "build/heat/$$model-$$name" </dev/null || exit 1; done
	$(BIN)/python -m prunus.figures --measure heat_rtl --models "$(IN)" --texts "$(TEXTS)"

fpga: CONFIG =
fpga: $(DEV)  ## a bitstream for BOARD (ulx3s_85f) in build/fpga (CONFIG; SEEDS=1-4; WORKERS); fails if it misses its clock
	$(BIN)/prunus fpga $(BOARD) $(CONFIG:%=--config %) $(SEEDS:%=--seeds %) $(WHERE) -o build/fpga

netlist: $(DEV)  ## a real head through the gates that Yosys makes of hdp_tiny (Icarus Verilog, minutes)
	$(BIN)/python -m prunus.fpga.netlist

dev: $(DEV)  ## set up .venv with all tools, and no more

lint: $(DEV)  ## check style, types and layers of the Python code, and the style of all files
	$(BIN)/ruff check .
	$(BIN)/python -m tests.hygiene
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV)  ## build the site of docs/ into build/site; a broken link or anchor is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# In an environment of its own, which has nothing but what pyproject.toml asks for.
constraints:  ## renew constraints.txt after pyproject.toml was changed
	$(PYTHON) -m venv --clear build/constraints
	build/constraints/bin/pip install $(QUIET) -e ".[dev]"
	{ sed '/^[^#]/d' constraints.txt; LC_ALL=C build/constraints/bin/pip freeze --exclude-editable \
		--disable-pip-version-check; } > build/constraints.txt
	mv build/constraints.txt constraints.txt

clean:  ## remove everything generated, the environment included
	rm -rf build $(VENV) *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) prunus/doctor.py base
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(BASE): pyproject.toml constraints.txt $(MADE)
	$(BIN)/pip install $(QUIET) -c constraints.txt -e .
	@touch $@

$(DEV): pyproject.toml constraints.txt $(MADE)
	$(BIN)/pip install $(QUIET) -c constraints.txt -e ".[dev]"
	@touch $(BASE) $@

$(MODELS): pyproject.toml $(DEV)
	$(BIN)/pip install $(QUIET) -c constraints.txt -e ".[models]"
	@touch $@
