"""`python -m monograph`: the command line."""

import sys

from monograph.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
