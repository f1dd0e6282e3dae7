"""Floor 4: where graphs run. `reference` is the meaning of every op, `llvm` emits machine code, `cpu` runs it. See README.md of each."""
