# On a fresh machine with nothing but Python >= 3.11: `make demo`, `make test`.
# While working: `make check`, lint and the quick tests, two minutes on two cores.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed.stamp
# Libraries that `make bench` times beside this one, and `make parity` holds it against; they live in
# an environment of their own.
PEERS := torch==2.13.0 diffusers==0.42.1 transformers==5.24.0 peft==0.21.2 sentencepiece==0.2.3 protobuf==7.36.2 \
	beautifulsoup4==4.15.0 ftfy==6.3.1 k-diffusion==0.1.1.post1
PEERS_VENV := .venv-peers
# What finds most faults a second: contract tests of the families whose members compile quickly,
# and of the rest what compiles little. Solvers, training, reports and sweeps are for `make test`.
QUICK := $(addprefix tests/,process statistics \
	$(addprefix data/test_,arrays.py contract.py folder.py pipeline.py shapes.py split.py) \
	$(addprefix networks/test_,conditioners.py refusals.py tokenizers.py) \
	$(addprefix metrics/test_,distance.py neighbours.py quality.py) \
	$(addprefix inference/test_,conditions.py preflight.py) \
	$(addprefix runs/test_,checkpoints.py fields.py run.py) training/test_method.py \
	$(addprefix test_,architecture.py configs.py files.py formulas.py json.py registry.py renamed.py \
	sealed.py specs.py streams.py) launch/test_contract.py published/readers/test_contract.py \
	docs/test_reference.py \
	experiments/test_command_line.py experiments/test_mistakes.py)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

.PHONY: demo test check lint docs bench parity lock clean

demo: $(INSTALLED)
	@$(BIN)/python -m experiments.compare --config=configs/quickstart.py

test: lint
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: lint
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(QUICK)

lint: $(INSTALLED)
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

# The site, to docs/_build/html: guide, reference, notebooks executed. Warnings are errors.
docs: $(INSTALLED)
	@$(BIN)/python -m sphinx -b html -W --keep-going -q -d docs/_build/doctrees docs docs/_build/html
	@echo "Built docs/_build/html/index.html"

bench: $(INSTALLED) $(PEERS_VENV)/installed.stamp
	@$(BIN)/python -m experiments.benchmark
	@$(BIN)/python -m experiments.benchmark_arms
	@$(BIN)/python -m experiments.benchmark_peers --peers=$(PEERS_VENV)/bin/python
	@$(BIN)/python -m experiments.benchmark_released --peers=$(PEERS_VENV)/bin/python
	@$(BIN)/python -m experiments.benchmark_data --peers=$(PEERS_VENV)/bin/python

# Released models beside the original libraries, with SEED=… other ones; fails where they differ.
SEED ?= 0
parity: $(INSTALLED) $(PEERS_VENV)/installed.stamp
	@$(BIN)/python -m experiments.parity --peers=$(PEERS_VENV)/bin/python --seed=$(SEED)

# Pins the ranges of setup.cfg for every Python and platform it allows; needs `uv`.
lock:
	@uv pip compile setup.cfg --extra=test --extra=docs --universal --python-version=3.11 \
		--fork-strategy=fewest --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command='make lock' --upgrade --quiet --output-file=requirements.lock

clean:
	rm -rf $(VENV) $(PEERS_VENV) .cache .pytest_cache .ruff_cache .mypy_cache build dist *.egg-info \
		docs/_build docs/reference

# Installs once, and again when the lock changes. An environment that already works is kept.
$(INSTALLED): requirements.lock
	@$(MAKE) --silent --no-print-directory environment
	@echo "Installing the packages of requirements.lock into $(VENV) (about 1 GB, a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements.lock
	@touch $@

$(PEERS_VENV)/installed.stamp: $(INSTALLED)
	@echo "Installing $(PEERS) into $(PEERS_VENV) (some GB, some minutes)"
	@$(BIN)/python -m venv $(PEERS_VENV)
	@$(PEERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PEERS)
	@# k-diffusion brings torchvision, which nothing here calls; where its build is not PyTorch's,
	@# transformers cannot be imported beside it.
	@$(PEERS_VENV)/bin/python -m pip uninstall --quiet --yes torchvision
	@touch $@

.PHONY: environment
environment:
	@$(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null && { \
		$(BIN)/python -m pip --version || $(BIN)/python -m ensurepip; } >/dev/null 2>&1 && exit; \
	$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "Python >= 3.11 is needed; $(PYTHON) is older or missing." \
			"Name another: make demo PYTHON=python3.12" >&2; exit 1; }; \
	$(PYTHON) -m venv --clear $(VENV) >/dev/null || { \
		echo "$(PYTHON) cannot make a virtual environment:" \
			"install its venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
