"""How notebooks show a module: a tree that unfolds, with the parameters of each branch."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from monograph.core.html import FAINT, folded, framed

if TYPE_CHECKING:
    from monograph.nn.module import Module

OPEN_BELOW = 30  # a model of fewer modules is shown unfolded


def to_html(module: Module) -> str:
    """The HTML of a module."""
    return framed(_branch("", module, set(), sum(1 for _ in module.modules()) < OPEN_BELOW))


def _branch(name: str, module: Module, above: set[int], is_open: bool) -> str:
    own = sum(p.numel() for p in module.parameters())
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    frozen = "" if own == trained else f", {own - trained:,} frozen"
    count = f' <span style="{FAINT}">{own:,} parameters{frozen}</span>' if own else ""
    label = f"({escape(name)}): " if name else ""
    extra = escape(", ".join(module.extra_repr().split("\n")))
    children = [(n, m) for n, m in module._modules.items() if m is not None]
    head = f"{label}<b>{escape(module._get_name())}</b>({extra}){count}"
    # A module below itself would never end.
    if not children or id(module) in above:
        return f'<div style="margin-left:12px">{head}</div>'
    below = "".join(_branch(n, m, above | {id(module)}, is_open) for n, m in children)
    return folded(head, below, is_open or not above)
