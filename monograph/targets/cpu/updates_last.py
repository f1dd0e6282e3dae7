"""The steps that replace a value by a new one of its kind (a parameter by its update) wait until the old value has been read for the last
time, and until no index can be refused any more: then the new one may lie in the memory of the old one (see `handover`)."""

from __future__ import annotations

from collections.abc import Sequence

from monograph.graph.node import Node
from monograph.targets.cpu.steps import ErrorWords, PlannedStep, Ref


def updates_last(steps: Sequence[PlannedStep], sources: Sequence[Node], outputs: Sequence[Node]) -> list[PlannedStep]:
    """The steps in an order in which more outputs can take over sources. Each step still comes after all that it needs."""
    given, made = set(sources), set(outputs)
    last: dict[Node, int] = {}
    users: dict[Node, list[int]] = {}
    checked = -1
    for i, step in enumerate(steps):
        for word in step.words:
            if type(word) is Ref:
                if last.get(word.node) != i:
                    users.setdefault(word.node, []).append(i)
                last[word.node] = i
            elif type(word) is ErrorWords:
                checked = i
    waiting: dict[int, list[PlannedStep]] = {}  # for the end of a step
    out: list[PlannedStep] = []
    for i, step in enumerate(steps):
        replaced = [read for written, read in step.may_reuse if written in made and read in given]
        until = max((last[read] for read in replaced), default=-1)
        until = max(until, checked) if replaced else until
        if until > i and not any(i < user <= until for node in step.writes for user in users[node]):
            waiting.setdefault(until, []).append(step)
        else:
            out.append(step)
        out += waiting.pop(i, ())
    return out
