"""Floor 3: gradients as graph transformations. See README.md."""
