"""Floor 0: dtypes, shapes and symbolic sizes, attribute records, trees, knobs, errors, modes. See README.md."""
