# Everything a new machine needs is made by the first target that needs it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := measure,gguf,zoo,flows,dashboard,postgres

.PHONY: demo test check slow install zoo clean

demo: $(VENV)/.installed
	$(BIN)/cicatrix demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow" --numprocesses auto --dist loadfile

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow --numprocesses 2 --dist loadfile

zoo: $(VENV)/.installed
	$(BIN)/cicatrix zoo build

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$(EXTRAS)]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$(EXTRAS),dev]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
