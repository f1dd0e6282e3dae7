"""Emission of kernels as LLVM IR text: scalar rules, fused loops, heavy templates. See README.md."""
