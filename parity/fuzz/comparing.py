"""One random call made in both frameworks: what is compared, and what it came to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch

import monograph as mg
from parity.fuzz.known import KNOWN
from tests.fuzz.calls import texts_of
from tests.fuzz.running import RECOGNISED, differ, outcome, run_calls
from tests.fuzz.surface import names

# What draws random numbers cannot be compared by value; the frameworks have other streams.
RANDOM = re.compile(
    r"rand|normal|dropout|Dropout|multinomial|bernoulli|poisson|binomial|cauchy|exponential_|geometric|log_normal|uniform|rrelu|RReLU|gumbel"
    r"|lowrank|lobpcg|fractional|Fractional|^nn\.(Linear|Bilinear|Conv|Embedding|RNN|LSTM|GRU|Multihead|Transformer|LazyConv|AdaptiveLog)"
)

# What torch says where it has no kernel, or no rule, for a dtype.
NO_KERNEL = "not implemented for|Promotion for uint16, uint32, uint64 types is not supported"


@lru_cache(1)
def shared_names() -> frozenset[str]:
    """The names of `tests.fuzz.surface` that torch has too, without those that draw random numbers."""
    rooms: dict[str, Any] = {"mg": torch, "F": torch.nn.functional, "nn": torch.nn, "Tensor": torch.Tensor}

    def has(name: str) -> bool:
        head, *rest = name.split(".")
        thing = rooms[head]
        for part in rest:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True

    return frozenset(name for name in names() if has(name) and not RANDOM.search(name))


def name_of(text: str) -> str:
    """The name that a call's text is about, as `names` writes it."""
    if text.startswith("step("):
        return text[len("step(") : text.index(",")]
    if text.startswith("t("):
        found = re.match(r"t\(\([^()]*\), [^()]*\)\.(\w+)", text)
        return f"Tensor.{found[1]}" if found else text
    return text[: text.index("(")]


def drawn(seed: int, count: int, only: str = "") -> list[str]:
    """Calls of names that both frameworks have."""
    return [text for text in texts_of(seed, count, only) if name_of(text) in shared_names()]


def torch_answers(text: str) -> str:
    """Makes the call in torch; "" always: what is asked is whether the process survives."""
    outcome(torch, text)
    return ""


def compare(text: str) -> str:
    """What differs between the two outcomes of a call, "" if nothing.

    Two errors are alike when code that catches torch's catches ours, or nearly: which of several things that are wrong with a call is
    complained of first is not compared. `[wider]` marks calls that torch has no overload or no kernel for.
    """
    kind, theirs, _ = outcome(torch, text)
    mine_kind, mine, trouble = outcome(mg, text)
    if trouble:
        return f"[state] {trouble}"
    if kind == mine_kind == "value":
        said = differ(mine, theirs)
        return f"[values] monograph against torch, {said}" if said else ""
    if kind == mine_kind:
        if isinstance(mine, (*RECOGNISED, type(theirs))):
            return ""
        return f"[class] {type(mine).__name__}: {str(mine)[:120]!r}, torch {type(theirs).__name__}: {str(theirs)[:120]!r}"
    bad = theirs if kind == "error" else mine
    if kind == "error":
        wider = isinstance(bad, TypeError | NotImplementedError | AttributeError) or re.search(NO_KERNEL, str(bad))
        return f"[{'wider' if wider else 'accepted'}] torch raises {type(bad).__name__}: {str(bad)[:200]!r}"
    return f"[refused] monograph raises {type(bad).__name__}: {str(bad)[:200]!r}"


def reason(text: str, said: str) -> str:
    """Why a difference is expected, "" if it is not."""
    for pattern, why in KNOWN.items():
        if re.search(pattern, f"{text} {said}"):
            return why
    return ""


def compared(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(text, what differs or "") of every call that torch survives."""
    torch.set_num_threads(1)  # the workers are forked
    alive = [text for text, said in run_calls(texts, torch_answers) if not said]
    yield from run_calls(alive, compare)
