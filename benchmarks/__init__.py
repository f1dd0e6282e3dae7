"""Measurements against PyTorch on the machine at hand. `make bench` runs them all; `python -m benchmarks.matmul` runs one."""
