PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := instances/counterexamples/counterexample-9.json

.PHONY: demo test lint types check verify-instances clean

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

# The main work on one small backlog, on which shortest-first is 15 % off. The first solve also compiles.
demo: $(BIN)/.installed
	@mkdir -p out
	$(BIN)/kvopt solve $(DEMO) --solver dp -o out/optimum.result.json
	$(BIN)/kvopt verify $(DEMO) out/optimum.result.json
	$(BIN)/kvopt crosscheck $(DEMO) --solvers dp,cp-sat,highs,scip,cbc,brute-force,mc-sf
	$(BIN)/kvopt solve $(DEMO) --solver mc-sf -o out/shortest-first.result.json
	$(BIN)/kvopt plot $(DEMO) out/shortest-first.result.json out/optimum.result.json -o out/demo.png

test: $(BIN)/.installed
	$(BIN)/python -m pytest -n 2

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/.installed
	$(BIN)/mypy

verify-instances: $(BIN)/.installed
	$(BIN)/kvopt library verify instances --jobs 2

check: lint types test

clean:
	rm -rf $(VENV) out
