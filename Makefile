# `make` does everything on a fresh machine with Python 3.11 or later; `make test` installs what tests need and runs them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/starter
.DEFAULT_GOAL := demo
.PHONY: demo train evaluate tag test lint notebooks clean

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kayan needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,eval]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: train evaluate tag
	@echo
	@echo "checkpoint: $(RUN)/best"
	@echo "report:     $(RUN)/report/report.md"

train: $(VENV)/installed
	$(BIN)/python -m train configs/starter.yaml

evaluate: $(VENV)/installed
	$(BIN)/python -m eval $(RUN)/best data/news/test.jsonl --out $(RUN)/report

tag: $(VENV)/installed
	$(BIN)/kayan tag data/sample.txt --model $(RUN)/best

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Executes the notebooks and stores their outputs.
notebooks: $(VENV)/installed-dev
	$(BIN)/python -m notebooks.run

clean:
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
