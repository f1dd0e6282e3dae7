"""Parity on sampled inputs: every op that PyTorch's own tests describe (`op_db`), on the samples those tests make, in both frameworks.

`python -m parity.sampled --help` says how to run it; `parity/test_sampled.py` runs a capped, fixed part of it.
"""
