"""Floor 1: the one graph. Nodes, op records, walking, rewriting, verifying, text form. See README.md."""
