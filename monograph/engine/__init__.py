"""Floor 5: the conductor. Evaluation on demand, capture, guards, plan cache, compile, export. See README.md."""
