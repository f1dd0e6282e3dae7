"""Floor 9: the command line, `monograph` and `python -m monograph`. See README.md."""
