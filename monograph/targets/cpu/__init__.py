"""Floor 4: kernels on the processor we run on. Features, JIT, object cache, native thread pool, measured limits. See README.md."""
