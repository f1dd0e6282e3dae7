"""Where monograph differs from PyTorch on purpose: the tests, by the start of their names, and why.

These tests are expected to fail, strictly: one that agrees after all has to leave this list. Users read it too, so a reason is one that
they would accept. A name that is merely absent is not a difference; its case says `absent=True`.
"""

from __future__ import annotations

DIFFERENCES = {
    "test_program[written_off_the_tape]": "a value written under no_grad or through detach() is a constant from there on: the tape is the "
    "graph of values, so it knows no gradient of a value that it did not record",
    "test_program[set_attribute_data]": "a view belongs to a tensor, not to memory: after `x.data = t` older views of x show t",
}
