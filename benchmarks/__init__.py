"""Measurements beside other frameworks on the machine at hand. `make bench` runs them all, `make bench ARGS="matmul"` one file."""
