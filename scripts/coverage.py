"""Writes docs/coverage.md: of the torch names that real projects call, which work here, which in part, which are absent.

    python scripts/coverage.py            write the page
    python scripts/coverage.py --check    say what differs, exit 1 if anything does
    python scripts/coverage.py --absent   print the absent names by how many projects use them

A name *works* if it resolves, takes every keyword argument that the projects pass, refuses nothing listed in PARTIAL, and passes its line
in tests/coverage/smoke.tsv if it has one. The names were counted in 40 public projects (tests/coverage/torch_names.tsv).
"""

from __future__ import annotations

import argparse
import csv
import inspect
import io
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import monograph as mg  # noqa: E402
import monograph.nn.functional as F  # noqa: E402
from monograph import nn, optim  # noqa: E402
from monograph.compat.alias import as_torch  # noqa: E402

NAMES = ROOT / "tests" / "coverage" / "torch_names.tsv"
SMOKE = ROOT / "tests" / "coverage" / "smoke.tsv"
PAGE = ROOT / "docs" / "coverage.md"

# Names that are there and refuse: what lacks.
PARTIAL = {
    "torch.jit.save": "refuses: no TorchScript is written; monograph.export saves programs",
    "torch.jit.load": "refuses: a TorchScript file holds code",
    "torch.onnx.export": "refuses until the exporter exists",
    "torch.onnx._export": "refuses until the exporter exists",
    "torch.fx.symbolic_trace": "refuses: functions are captured as they run",
    "torch.fx.Graph": "a name for annotations only",
    "torch.fx.GraphModule": "a name for annotations only",
    "torch.hub.load": "refuses: it would run code from a repository",
    "torch.distributed.init_process_group": "a world of one process",
    "torch.distributed.all_reduce": "a world of one process",
    "torch.distributed.all_gather": "a world of one process",
    "torch.distributed.barrier": "a world of one process",
    "torch.distributed.broadcast_object_list": "a world of one process",
    "nn.parallel.DistributedDataParallel": "a world of one process",
}
# What the count takes for torch's and is not: keywords of the projects' own classes and of NumPy, names torch itself has dropped.
MISCOUNTED = {
    "torch.utils.data.Dataset": "the keywords are those of a project's subclass",
    "Module.forward": "the keyword is a project's own",
    "Distribution.sample": "the keyword is a project's own sampler's",
    "Tensor.scatter": "the keyword is torch_scatter's",
    "Tensor.take": "the keywords are NumPy's",
    "Scheduler.zero_grad": "the object is an optimiser",
    "torch._six.inf": "torch 2 does not have it",
    "nn.modules.MultiheadAttention.reset_parameters": "torch does not have it",
    "torch.classes.xielu.XIELU": "a package's own extension",
    "torch.ops.torchvision.nms": "torchvision's extension",
    "torch.ops.torchvision.qnms": "torchvision's extension",
    "torch.ops.torchvision.box_iou_rotated": "torchvision's extension",
}
# Functions that pass any keyword on: their signature says nothing.
MEASURED_ELSEWHERE = frozenset(("torch.cuda.FloatTensor", "torch.cuda.LongTensor", "torch.cuda.HalfTensor"))


@dataclass(frozen=True)
class Entry:
    """One line of the page."""

    name: str
    count: int
    projects: int
    status: str  # works, partial, absent, excused
    lacks: str


def _instances() -> dict[str, Any]:
    """An object, or the class, of each kind whose attributes the projects use."""
    layer = nn.Linear(2, 2)
    sgd = optim.SGD(layer.parameters(), lr=0.1)
    found = {
        "Tensor": mg.Tensor, "Module": layer, "Tensor/Module": mg.Tensor, "Optimizer": sgd,
        "Scheduler": optim.lr_scheduler.StepLR(sgd, 1), "amp": mg.amp,
    }  # fmt: skip
    if hasattr(mg, "distributions"):
        found["Distribution"] = getattr(mg.distributions, "Normal", lambda *_: None)(0.0, 1.0)
    return found


_ATTRIBUTES = {
    "running_mean": "BatchNorm2d",
    "running_var": "BatchNorm2d",
    "weight": "Linear",
    "bias": "Linear",
    "in_features": "Linear",
    "out_features": "Linear",
}
_OPERATORS = {
    "op:index[multi-dim slice]": "t.arange(6).reshape(2, 3)[:, 1:].tolist() == [[1, 2], [4, 5]]",
    "op:index[tensor/int index]": "t.arange(4)[t.tensor([2, 0])].tolist() == [2, 0] and t.arange(4)[1].item() == 1",
    "op:index[None]": "t.ones(2)[None].shape == (1, 2)",
    "op:index[bool mask]": "t.arange(3)[t.tensor([True, False, True])].tolist() == [0, 2]",
    "op:index[...]": "t.ones(2, 3)[..., 0].shape == (2,)",
    "op:index[step slice]": "t.arange(5)[::2].tolist() == [0, 2, 4]",
    "op:setitem[bool mask]": "_set(t.arange(3), t.tensor([True, False, True]), 9) == [9, 1, 9]",
    "op:setitem[slice]": "_set(t.arange(3), slice(1, 3), 7) == [0, 7, 7]",
    "op:@ (matmul)": "(t.eye(2) @ t.ones(2, 1)).tolist() == [[1], [1]]",
    "op:~ (invert)": "(~t.tensor([True, False])).tolist() == [False, True]",
}  # fmt: skip


def _set(x: Any, key: Any, value: Any) -> Any:
    x[key] = value
    return x.tolist()


def _no_grad(t: Any) -> bool:
    with t.no_grad():
        return not (t.ones(1, requires_grad=True) * 2).requires_grad


def _inference(t: Any) -> bool:
    with t.inference_mode():
        return (t.ones(1, requires_grad=True) * 2).requires_grad


def _autocast(t: Any) -> bool:
    with t.autocast("cpu", dtype=t.bfloat16, enabled=True):
        return (t.ones(2, 2) @ t.ones(2, 2)).dtype is t.bfloat16


def _save_load(t: Any) -> Any:
    file = io.BytesIO()
    t.save({"w": t.ones(2)}, file)
    file.seek(0)
    return t.load(file, map_location="cpu", weights_only=True)["w"].tolist()


def _backward(t: Any) -> Any:
    x = t.ones(2, requires_grad=True)
    (x * x).sum().backward()
    return x.grad.tolist()


def _clip(t: Any) -> float:
    p = nn.Parameter(t.ones(2))
    (p * 10).sum().backward()
    nn.utils.clip_grad_norm_([p], max_norm=1.0)
    return p.grad.norm().item()


def _steps(kind: Any, **options: Any) -> bool:
    """Whether an optimiser makes a loss smaller."""
    p = nn.Parameter(mg.tensor([3.0]))
    optimizer = kind([p], **options)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        (p * p).sum().backward()
        optimizer.step()
    return p.item() < 3.0


def _buffer(nn: Any, t: Any) -> list[str]:
    module = nn.Module()
    module.register_buffer("b", t.ones(1))
    module.register_buffer("c", t.ones(1), persistent=False)
    return list(module.state_dict())


def _hooked(nn: Any, t: Any) -> int:
    seen: list[Any] = []
    layer = nn.Linear(1, 1)
    handle = layer.register_forward_hook(lambda module, args, result: seen.append(result))
    layer(t.ones(1))
    handle.remove()
    layer(t.ones(1))
    return len(seen)


HELPERS = (_set, _no_grad, _inference, _autocast, _save_load, _backward, _clip, _steps, _buffer, _hooked)


def resolve(name: str, torch: Any, instances: dict[str, Any]) -> Any:
    """The object that a name of the list means. Raises AttributeError."""
    head, _, rest = name.partition(".")
    if head in ("nn", "optim"):
        return _walk({"nn": nn, "optim": optim}[head], rest, torch, head)
    if head == "F":
        return _walk(F, rest, torch, "nn.functional")
    if head == "torch":
        return _walk(torch, rest, torch, "")
    if head == "Module(attr)":
        kind = _ATTRIBUTES.get(rest, "Conv2d")
        return getattr(nn.Linear(2, 2) if kind == "Linear" else nn.BatchNorm2d(2) if kind == "BatchNorm2d" else nn.Conv2d(1, 1, 1), rest)
    if head == "amp":
        return _walk(mg.amp, rest, torch, "amp")
    if head == "Tensor/Module":
        getattr(instances["Module"], rest)
    return getattr(instances[head], rest)


def _walk(found: Any, path: str, torch: Any, at: str) -> Any:
    for part in path.split("."):
        at = f"{at}.{part}" if at else part
        if not hasattr(found, part) and inspect.ismodule(found):
            try:  # a submodule that a script would import
                __import__(f"torch.{at}")
            except ImportError as error:
                raise AttributeError(str(error)) from None
        found = getattr(found, part)
    return found


def _refused_keywords(found: Any, keywords: list[str]) -> list[str]:
    """The keyword arguments that the signature does not have."""
    if not callable(found) or not keywords:
        return []
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):
        return []
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return []
    return [k for k in keywords if k not in parameters or parameters[k].kind is inspect.Parameter.POSITIONAL_ONLY]


def _smoke() -> dict[str, str]:
    with SMOKE.open(encoding="utf-8") as lines:
        pairs = [line.rstrip("\n").split("\t") for line in lines if line.strip() and not line.startswith("#")]
    return {name: expression for name, expression in pairs} | _OPERATORS


def passes(expression: str) -> str:
    """ "" if the expression of a smoke line holds; else what happened."""
    scope = {"t": mg, "nn": nn, "F": F, "optim": optim, **{helper.__name__: helper for helper in HELPERS}}
    try:
        return "" if eval(expression, scope) else f"{expression} does not hold"
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def examine() -> list[Entry]:
    """Every name with its status, in the order of the list."""
    smoke, instances, entries = _smoke(), _instances(), []
    with as_torch() as torch, NAMES.open(encoding="utf-8") as lines, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in csv.DictReader(lines, delimiter="\t"):
            name, keywords = row["name"], [k for k in row["keywords"].split(",") if k]
            status, lacks = "works", ""
            try:
                found = None if name in _OPERATORS else resolve(name, torch, instances)
            except (AttributeError, KeyError, ImportError, RuntimeError):
                status = "excused" if name in MISCOUNTED else "absent"
                lacks = MISCOUNTED.get(name, "")
            else:
                refused = [] if name in MEASURED_ELSEWHERE else _refused_keywords(found, keywords)
                if name in smoke:
                    lacks = passes(smoke[name])
                lacks = lacks or PARTIAL.get(name, "") or (f"no keyword {', '.join(refused)}" if refused else "")
                status = "partial" if lacks else "works"
                if refused and name in MISCOUNTED:
                    status, lacks = "works", MISCOUNTED[name]
            entries.append(Entry(name, int(row["count"]), int(row["projects"]), status, lacks))
    return entries


def page(entries: list[Entry]) -> str:
    """The page as text."""
    n = {status: sum(e.status == status for e in entries) for status in ("works", "partial", "absent", "excused")}
    often = [e for e in entries if e.projects >= 2]
    works_often = sum(e.status == "works" for e in often)
    lines = [
        "# Coverage",
        "",
        "Which of the names that torch projects call work here. Written by `scripts/coverage.py`; a test keeps it true. Counted in 40 "
        "public",
        "projects, 25 of them the core; names of other packages (torchvision, einops) are left out.",
        "",
        f"Of {len(entries)} names {n['works']} work, {n['partial']} work in part, {n['absent']} are absent, {n['excused']} are not "
        f"torch's. "
        f"Of the {len(often)} that two or more projects use, {works_often} work.",
        "",
        "| name | uses | projects | status |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{e.name}` | {e.count} | {e.projects} | {e.status}{': ' + e.lacks.replace('|', '/') if e.lacks else ''} |" for e in entries
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the page, write nothing")
    parser.add_argument("--absent", action="store_true", help="print absent and partial names, most used first")
    options = parser.parse_args()
    entries = examine()
    if options.absent:
        for e in sorted(entries, key=lambda e: (-e.projects, -e.count)):
            if e.status in ("absent", "partial"):
                print(f"{e.projects:3d} {e.count:4d}  {e.name:50s} {e.status} {e.lacks}")
        return 0
    text = page(entries)
    if options.check:
        before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        for line in sorted(set(text.splitlines()) ^ set(before.splitlines())):
            print(("now:    " if line in text else "before: ") + line)
        return int(text != before)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    print(text.splitlines()[5])
    return 0


if __name__ == "__main__":
    sys.exit(main())
