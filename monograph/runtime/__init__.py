"""Floor 1: memory, threads and the runnable program, without any knowledge of how kernels are made. See README.md."""
