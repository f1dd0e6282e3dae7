"""Running fuzzed calls and judging what came of them, in processes that may die."""

from __future__ import annotations

import faulthandler
import json
import os
import re
import resource
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

GIB = 1 << 30
MEMORY = 12 * GIB  # address space of a worker: beyond it allocations fail, as on a full machine
PATIENCE = 60.0  # seconds without a word from a worker
RECOGNISED = (
    TypeError, ValueError, RuntimeError, IndexError, NotImplementedError, MemoryError, ZeroDivisionError, OverflowError, ImportError,
)  # fmt: skip
INSIDE = (AssertionError, KeyError, RecursionError, SystemError, UnboundLocalError, AttributeError, BufferError)


class Kept:
    """The tensors that a call was given, with the values they had."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.before: list[np.ndarray] = []

    def keep(self, tensor: Any) -> Any:
        self.tensors.append(tensor)
        return tensor

    def look(self) -> list[np.ndarray]:
        return [as_array(x) for x in self.tensors]


def as_array(x: Any) -> np.ndarray:
    x = x.detach()
    for method in ("resolve_conj", "resolve_neg"):
        x = getattr(x, method)()
    name = str(x.dtype).rsplit(".", 1)[-1]
    return np.array((x.float() if name == "bfloat16" else x).numpy())


def room(frame: Any, kept: Kept) -> dict[str, Any]:
    """The names that a call's text may use."""

    def t(shape: tuple[int, ...], dtype: str, seed: int, form: str) -> Any:
        """A tensor whose memory looks like `form` says."""
        draw = np.random.default_rng(seed)
        made = {"turned": shape[::-1], "strided": tuple(2 * s for s in shape), "row": (2, *shape), "expanded": tuple(1 for _ in shape)}
        storage = made.get(form, shape)
        values = draw.integers(0, 4, storage) if dtype[0] in "iu" or dtype == "bool" else draw.standard_normal(storage) * 2
        if dtype.startswith("complex"):
            values = values + 1j * draw.standard_normal(storage)
        values = np.asarray(values)
        if form == "special" and dtype[0] in "fbc" and dtype != "bool" and values.size:
            values = values.copy()
            values.reshape(-1)[:: max(1, values.size // 3)] = draw.choice([np.nan, np.inf, -np.inf, -0.0, 1e30])
        x = frame.tensor(values, dtype=getattr(frame, dtype))
        if form == "grad" and (dtype[0] in "fc" or dtype == "bfloat16"):
            x.requires_grad_()
        kept.keep(x)
        if form == "turned":
            return x.permute(*range(x.ndim - 1, -1, -1))
        if form == "expanded":
            return x.expand(shape)
        if form == "strided":
            return x[tuple(slice(None, None, 2) for _ in shape)]
        return x[1] if form == "row" else x

    def index(shape: tuple[int, ...], below: int, seed: int, dtype: str) -> Any:
        return kept.keep(frame.tensor(np.random.default_rng(seed).integers(0, below, shape), dtype=getattr(frame, dtype)))

    def step(kind: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        parameter = frame.nn.Parameter(x.detach().clone())
        optimizer = kind([parameter], *args, **kwargs)
        (parameter * parameter).sum().backward()
        optimizer.step()
        return parameter

    return {"mg": frame, "nn": frame.nn, "F": frame.nn.functional, "t": t, "index": index, "step": step}


def leaves(result: Any) -> Iterator[Any]:
    """The tensors and plain values of a result."""
    if isinstance(result, list | tuple):
        for part in result:
            yield from leaves(part)
    elif isinstance(result, dict):
        yield from leaves(list(result.values()))
    elif result is not None:
        yield result


def outcome(frame: Any, text: str, backward: bool = True) -> tuple[str, Any, str]:
    """("value", arrays) or ("error", exception), and what is wrong already: inputs that a failing call has changed."""
    kept = Kept()
    names = room(frame, kept)
    frame.manual_seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = eval(text, names)  # our own text
            kept_before = kept.tensors
            arrays: list[Any] = []
            for leaf in leaves(result):
                if isinstance(leaf, frame.Tensor):
                    if leaf.layout is not frame.strided or str(leaf.device) == "meta":
                        continue
                    arrays.append(as_array(leaf))
                    if backward and leaf.requires_grad and leaf.dtype.is_floating_point:
                        leaf.sum().backward(retain_graph=True)
                elif isinstance(leaf, bool | int | float | complex):
                    arrays.append(np.asarray(leaf))
            arrays += [as_array(x.grad) for x in kept_before if x.is_leaf and x.grad is not None]
            return "value", arrays, ""
    except Exception as error:  # to be judged
        trouble = changed_inputs(frame, text, kept)
        return "error", error, trouble


def changed_inputs(frame: Any, text: str, kept: Kept) -> str:
    """After an error: whether the call's tensors still hold what they were made with."""
    fresh = Kept()
    again = room(frame, fresh)
    made = re.findall(r"\b(?:t|index)\(\([^()]*\), [^()]*\)", text)
    for piece in made:
        eval(piece, again)  # our own text
    try:
        now = kept.look()
    except Exception as error:  # that is the finding
        return f"an input cannot be read after the error: {type(error).__name__}: {error}"
    for i, (a, b) in enumerate(zip(now, fresh.look(), strict=False)):
        if a.shape != b.shape or a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"):
            return f"the failing call has changed its input {i}"
    return ""


TOLERANCE = {"float16": 2e-2, "float32": 2e-3, "float64": 1e-6, "complex64": 2e-3, "complex128": 1e-6}


def differ(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> str:
    """What distinguishes two lists of arrays, "" if nothing."""
    if len(a) != len(b):
        return f"{len(a)} results against {len(b)}"
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        if x.shape != y.shape or x.dtype != y.dtype:
            return f"result {i}: {x.dtype}{list(x.shape)} against {y.dtype}{list(y.shape)}"
        rough = TOLERANCE.get(str(x.dtype), 0.0)
        with np.errstate(all="ignore"):
            wide = complex if x.dtype.kind == "c" else float
            same = np.allclose(x.astype(wide), y.astype(wide), rough * 10, rough * 10, equal_nan=True) if rough else np.array_equal(x, y)
        if not same:
            return f"result {i}: {x.reshape(-1)[:6]} against {y.reshape(-1)[:6]}"
    return ""


def judge(text: str) -> str:
    """What is wrong with what monograph makes of a call, "" if nothing: on both targets, and one against the other."""
    import monograph as mg  # noqa: PLC0415 - in the worker
    from monograph.core import knobs  # noqa: PLC0415

    found = {}
    for target in ("cpu", "reference"):
        with knobs.target.scoped(target):
            kind, value, trouble = outcome(mg, text)
        if trouble:
            return f"[state] {target}: {trouble}"
        if kind == "error":
            if (isinstance(value, INSIDE) and inside(value)) or not isinstance(value, RECOGNISED + INSIDE):
                if True:
                    last = traceback.extract_tb(value.__traceback__)[-1]
                    return f"[class] {target}: {type(value).__name__}: {str(value)[:160]} ({os.path.basename(last.filename)}:{last.lineno})"
        found[target] = (kind, value)
    (a, x), (b, y) = found["cpu"], found["reference"]
    if a != b:
        bad = x if a == "error" else y
        return f"[targets] cpu {a}, reference {b}: {type(bad).__name__}: {str(bad)[:160]}"
    if a == "value":
        said = differ(x, y)
        return f"[values] cpu against reference, {said}" if said else ""
    return ""


def inside(error: BaseException) -> bool:
    """Whether an error comes from a line that did not mean to raise it."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return "raise " not in (last.line or "")


def run_calls(texts: Sequence[str], verdict: Callable[[str], str] = judge, patience: float = PATIENCE) -> Iterator[tuple[str, str]]:
    """(text, what is wrong or "") of every call. A worker that dies or hangs is the finding of the call it was at; another one goes on."""
    done = 0
    while done < len(texts):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            work(texts[done:], verdict, write)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            for line in lines(pipe, patience):
                yield texts[done], json.loads(line)
                done += 1
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        if done < len(texts):
            how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit status {os.WEXITSTATUS(status)}"
            yield texts[done], f"[crash] {'no answer in time' if how == 'SIGKILL' else how}"
            done += 1


def lines(pipe: Any, patience: float) -> Iterator[bytes]:
    """The lines of a pipe, until it ends or nothing comes for too long."""
    rest = b""
    while select.select([pipe], [], [], patience)[0]:
        piece = os.read(pipe.fileno(), 65536)
        if not piece:
            return
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole


def work(texts: Sequence[str], verdict: Callable[[str], str], write: int) -> None:
    """The life of a worker."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()  # the parent reports the death
    try:
        for text in texts:
            try:
                said = verdict(text)
            except Exception as error:  # a verdict that fails is a finding too
                said = f"[judge] {type(error).__name__}: {error}"
            os.write(write, json.dumps(said).encode() + b"\n")
    finally:
        sys.stderr.flush()
        os._exit(0)
