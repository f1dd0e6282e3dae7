# Everything a person or CI runs. Each target makes the environment it needs; a second run with nothing changed installs nothing.
#
#   make demo      train a CNN on handwritten digits, export it, reload it in a fresh process
#   make test      the test suite
#   make help      the rest

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python 3.11+ on the PATH that can make virtual environments; override with `make PYTHON=/path/to/python3.12 test`.
FIND_PYTHON = for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then command -v $$p; break; fi; done
PYTHON ?= $(shell $(FIND_PYTHON))

# PyTorch is installed only for `parity` and `bench`, in an environment of its own. If your pip finds a build with CUDA (2 GB and more) and
# you want the CPU one, give the address of PyTorch's wheel index for CPU: `make parity TORCH_INDEX=...`.
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
ARGS ?=
SUITE ?=
EXAMPLES ?= 20

PIP_FLAGS := --disable-pip-version-check --no-input
VENV := .venv
VENV_TORCH := .venv-torch
PY := $(VENV)/bin/python
PY_TORCH := $(VENV_TORCH)/bin/python
VENV_EXTRAS := .venv-extras
VENV_PACKAGES := .venv-packages
PY_PACKAGES := $(VENV_PACKAGES)/bin/python

# What `bench` measures beside PyTorch, each in an environment of its own.
VENV_TENSORFLOW := .venv-tensorflow
VENV_JAX := .venv-jax
VENV_ONNX := .venv-onnx
PEERS := $(VENV_TORCH)/.exporter $(VENV_TENSORFLOW)/.ready $(VENV_JAX)/.ready $(VENV_ONNX)/.ready

# The tests that `test` skips for want of an extra.
EXTRAS_TESTS := tests/array_api/test_consumers.py tests/data/test_rows.py tests/examples/test_examples.py tests/train/test_callbacks_search.py \
	tests/train/test_callbacks_watching.py tests/train/test_loggers.py tests/train/test_tensorboard.py tests/utils/test_tensorboard.py

.PHONY: help demo test check extras bench bench-fit bench-data parity packages conformance clean distclean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-11s %s\n", $$1, $$2}'

demo: $(VENV)/.ready ## train, export, reload: the main job, about a minute
	$(PY) examples/digits_cnn.py $(ARGS)

test: $(VENV)/.ready ## the test suite (pass options with ARGS="-k softmax")
	$(PY) -m pytest $(ARGS)

check: $(VENV)/.ready ## linter, type checker, import law
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

extras: $(VENV_EXTRAS)/.ready ## the tests that need an extra: loggers, TensorBoard's profile tab, Parquet, search, all examples
	$(VENV_EXTRAS)/bin/python -m pytest $(EXTRAS_TESTS) $(ARGS)

parity: $(VENV_TORCH)/.ready ## compare with PyTorch, op by op and on whole training scripts
	$(PY_TORCH) -m pytest parity $(ARGS)

conformance: $(VENV)/.ready ## the array API standard's public suite, from a checkout: SUITE=path/to/array-api-tests
	@if [ ! -d "$(SUITE)/array_api_tests" ]; then \
		echo "Give the suite's checkout, which is on no package index: git clone --recurse-submodules" >&2; \
		echo "https://github.com/data-apis/array-api-tests && make conformance SUITE=array-api-tests" >&2; exit 1; fi
	$(PY) -m pip install $(PIP_FLAGS) --quiet -r "$(SUITE)/requirements.txt"
	cd "$(SUITE)" && ARRAY_API_TESTS_MODULE=monograph.array_api PYTHONPATH="$(CURDIR)" "$(CURDIR)/$(PY)" -m pytest array_api_tests \
		--disable-deadline --max-examples $(EXAMPLES) -W ignore -rs --xfails-file "$(CURDIR)/tests/array_api/xfails.txt" $(ARGS)

packages: $(VENV_PACKAGES)/.ready $(VENV_TORCH)/.packages ## run packages from PyPI under torch and under the alias (ARGS="einops_layers")
	$(PY_PACKAGES) parity/packages/run.py --torch $(PY_TORCH) --alias $(PY_PACKAGES) $(ARGS)

bench: $(VENV)/.ready $(PEERS) ## measure beside PyTorch, TensorFlow, JAX, ONNX Runtime and OpenVINO (ARGS="matmul mlp" for some)
	$(PY) -m benchmarks.run $(ARGS)

bench-data: $(VENV_TORCH)/.ready $(VENV_TENSORFLOW)/.ready ## pictures through two workers, beside torch's loader and tf.data
	$(PY_TORCH) -m benchmarks.data_loading --keras $(VENV_TENSORFLOW)/bin/python $(ARGS)

bench-fit: $(VENV)/.ready .venv-lightning/.ready $(VENV_TENSORFLOW)/.ready ## Fashion-MNIST by fit, beside Keras and Lightning (needs dataset-fashion-mnist)
	$(PY) -m benchmarks.training_overhead
	$(PY) -m benchmarks.training_fit --keras $(VENV_TENSORFLOW)/bin/python --lightning .venv-lightning/bin/python $(ARGS)

clean: ## remove outputs and caches
	rm -rf out build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path './$(VENV_EXTRAS)/*' -not -path './$(VENV_TORCH)/*' -not -path './$(VENV_PACKAGES)/*' -prune -exec rm -rf {} +

distclean: clean ## remove the environments too
	rm -rf $(VENV) $(VENV_EXTRAS) $(VENV_TORCH) $(VENV_PACKAGES) $(VENV_TENSORFLOW) $(VENV_JAX) $(VENV_ONNX) .venv-lightning

# The stamp is written last, so an interrupted installation is repeated.
$(VENV)/.ready: pyproject.toml
	@$(call make_venv,$(VENV))
	@echo "==> installing monograph with its demo and dev extras into $(VENV)"
	$(PY) -m pip install $(PIP_FLAGS) -e '.[dev,demo]'
	@touch $@

$(VENV_EXTRAS)/.ready: pyproject.toml
	@$(call make_venv,$(VENV_EXTRAS))
	@echo "==> installing monograph with all its extras into $(VENV_EXTRAS)"
	$(VENV_EXTRAS)/bin/python -m pip install $(PIP_FLAGS) -e '.[dev,demo,arrow,examples,image,mlflow,optuna,plot,profile,tensorboard,train]' einops
	@touch $@

$(VENV_TORCH)/.ready: pyproject.toml
	@$(call make_venv,$(VENV_TORCH))
	@echo "==> installing $(TORCH) beside monograph into $(VENV_TORCH)"
	$(PY_TORCH) -m pip install $(PIP_FLAGS) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) '$(TORCH)' expecttest -e '.[dev,demo]'
	@touch $@

# The packages themselves would bring PyTorch along: they come without dependencies, and what else they need is listed.
PACKAGES := parity/packages/requirements.txt parity/packages/requirements-torch.txt

$(VENV_PACKAGES)/.ready: pyproject.toml $(PACKAGES)
	@$(call make_venv,$(VENV_PACKAGES))
	@echo "==> installing monograph and packages written for PyTorch, without PyTorch, into $(VENV_PACKAGES)"
	$(PY_PACKAGES) -m pip install $(PIP_FLAGS) -e . -r parity/packages/requirements.txt
	$(PY_PACKAGES) -m pip install $(PIP_FLAGS) --no-deps -r parity/packages/requirements-torch.txt
	@touch $@

$(VENV_TORCH)/.packages: $(VENV_TORCH)/.ready $(PACKAGES)
	@echo "==> installing the same packages beside PyTorch into $(VENV_TORCH)"
	$(PY_TORCH) -m pip install $(PIP_FLAGS) -r parity/packages/requirements.txt
	$(PY_TORCH) -m pip install $(PIP_FLAGS) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --no-deps -r parity/packages/requirements-torch.txt
	@touch $@

.venv-lightning/.ready:
	@$(call make_venv,.venv-lightning)
	.venv-lightning/bin/python -m pip install $(PIP_FLAGS) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) lightning '$(TORCH)'
	@touch $@

# With these torch writes its models in ONNX's format, for ONNX Runtime and OpenVINO.
$(VENV_TORCH)/.exporter: $(VENV_TORCH)/.ready
	$(PY_TORCH) -m pip install $(PIP_FLAGS) onnx onnxscript
	@touch $@

$(VENV_TENSORFLOW)/.ready:
	@$(call make_venv,$(VENV_TENSORFLOW))
	$(VENV_TENSORFLOW)/bin/python -m pip install $(PIP_FLAGS) keras tensorflow-cpu
	@touch $@

$(VENV_JAX)/.ready:
	@$(call make_venv,$(VENV_JAX))
	$(VENV_JAX)/bin/python -m pip install $(PIP_FLAGS) jax
	@touch $@

$(VENV_ONNX)/.ready:
	@$(call make_venv,$(VENV_ONNX))
	$(VENV_ONNX)/bin/python -m pip install $(PIP_FLAGS) onnxruntime openvino
	@touch $@

define make_venv
if [ ! -x $(1)/bin/pip ]; then \
	if [ -z "$(PYTHON)" ]; then \
		echo "monograph needs Python 3.11 or newer with the venv module, and found none on the PATH." >&2; \
		echo "Debian/Ubuntu: apt install python3-venv. Or name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; fi; \
	echo "==> creating $(1) with $(PYTHON)"; "$(PYTHON)" -m venv $(1); fi
endef
