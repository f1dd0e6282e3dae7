"""Tables of calls, one file per family. `Case` and the descriptions of inputs are in `describe.py`."""
