"""Found as `torch` by a process that a script under the alias started: it gets the alias too."""

import importlib
import sys

from monograph.compat.alias import install

del sys.modules["torch"]
install()
importlib.import_module("torch")
