"""What is compared for one op and dtype: the function, its method, in-place and `out=` forms, strided inputs, gradients, errors."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import signal
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_device_type import toleranceOverride
from torch.testing._internal.common_methods_invocations import op_db

import monograph as mg
from parity.sampled.outcomes import TOLERANCE, WIDER, Raised, attempt, disagreement, no_further, plain
from parity.sampled.ties import same_elements
from parity.sampled.twins import Absent, NotCarried, ours, to_ours

DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64", "complex128")
CHECKS = ("function", "method", "operator", "inplace", "out", "strided", "gradient", "second", "error", "unlisted")
SECONDS = 20  # what one check may take, in processor time: other work on the machine does not count
NO_VALUES = ("empty", "empty_like", "new_empty", "new_empty_strided", "empty_strided", "empty_permuted", "resize_", "resize_as_")
UP_TO_SIGN = ("linalg.eig", "linalg.eigh", "linalg.svd", "svd", "linalg.qr", "qr")  # samples say how to compare them
SEEDED = ("wrapper_set_seed", "freeze_rng_state")


@dataclasses.dataclass(frozen=True)
class Result:
    """One comparison. `verdict` is empty when both agree, "absent: ..." when monograph has no such name, "extension" when it goes on
    where torch raises for a dtype.
    """

    op: str
    dtype: str
    check: str
    sample: int
    verdict: str


class TooLong(BaseException):
    """A check that does not end."""


@contextlib.contextmanager
def _limit(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def full_name(op: Any) -> str:
    return op.name + (f"[{op.variant_test_name}]" if op.variant_test_name else "")


def all_ops() -> list[Any]:
    return sorted(op_db, key=full_name)


def is_random(op: Any) -> bool:
    """Whether results come from a generator: PyTorch's tests seed it inside of a wrapper."""
    code = getattr(op.op, "__code__", None)
    return code is not None and any(name in code.co_names for name in SEEDED)


def tolerance(op: Any, dtype: str) -> tuple[float, float] | None:
    """torch.testing's tolerance, or the wider one that PyTorch's tests of this op use."""
    relative, absolute = TOLERANCE.get(dtype, (0.0, 0.0))
    for info in op.decorators:
        for decorator in getattr(info, "decorators", ()):
            if isinstance(decorator, toleranceOverride) and getattr(torch, dtype) in decorator.d:
                wider = decorator.d[getattr(torch, dtype)]
                relative, absolute = max(relative, wider.rtol), max(absolute, wider.atol)
    return (relative, absolute) if (relative, absolute) != TOLERANCE.get(dtype, (0.0, 0.0)) else None


# Samples seed before each item; the usual function also writes down a stack trace for CUDA.
torch.manual_seed = lambda seed: torch.default_generator.manual_seed(int(seed))


def _seed() -> None:
    torch.default_generator.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - what PyTorch's samples draw from


def _spread(items: list[Any], limit: int) -> list[tuple[int, Any]]:
    """`limit` of the items, evenly over the list (0: all)."""
    if not limit or len(items) <= limit:
        return list(enumerate(items))
    return [(i, items[i]) for i in sorted({round(k * (len(items) - 1) / max(1, limit - 1)) for k in range(limit)})]


def samples(op: Any, dtype: str, requires_grad: bool = False) -> list[Any]:
    _seed()
    return list(op.sample_inputs("cpu", getattr(torch, dtype), requires_grad=requires_grad))


def _widened(value: Any, narrow: torch.dtype, wide: torch.dtype) -> Any:
    """Arguments in a wider dtype."""
    if isinstance(value, torch.Tensor):
        return value.detach().to(wide) if value.dtype is narrow else value
    if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        return type(value)(_widened(item, narrow, wide) for item in value)
    return wide if value is narrow else value


def copied(sample: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a sample with memory of their own: tensors that share some, or overlap themselves, do so in the copy, too."""
    made: dict[int, torch.Tensor] = {}
    memory: dict[int, Any] = {}

    def tensor(value: torch.Tensor) -> torch.Tensor:
        if value.layout is not torch.strided or value.is_nested:
            return value
        if value.requires_grad or value.device.type != "cpu" or value.is_conj() or value.is_neg() or value.is_quantized:
            return value.detach().clone().requires_grad_(value.requires_grad)
        storage = value.untyped_storage()
        if storage.data_ptr() not in memory:
            memory[storage.data_ptr()] = storage.clone()
        copied = memory[storage.data_ptr()]
        return torch.empty(0, dtype=value.dtype).set_(copied, value.storage_offset(), value.shape, value.stride())

    def copy(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if id(value) not in made:
                made[id(value)] = tensor(value)
            return made[id(value)]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(copy, value))
        if isinstance(value, (tuple, list)):
            return type(value)(map(copy, value)) if not isinstance(value, torch.Size) else value
        return {k: copy(v) for k, v in value.items()} if isinstance(value, dict) else value

    return copy((sample.input, *sample.args)), copy(dict(sample.kwargs))


class Comparison:
    """One op in one dtype: makes results, one at a time."""

    def __init__(self, op: Any, dtype: str, limit: int) -> None:
        self.op, self.dtype, self.limit = op, dtype, limit
        self.tolerance = tolerance(op, dtype)
        self.values = not is_random(op) and op.name not in NO_VALUES
        self.made: dict[bool, list[Any]] = {}

    def run(self, checks: tuple[str, ...]) -> Iterator[Result]:
        for check in checks:
            for index, compare in getattr(self, "_" + check)():
                _seed()
                try:
                    with _limit(SECONDS):
                        verdict = compare()
                except NotCarried:
                    verdict = None
                except Absent as name:
                    verdict = f"absent: {name}"
                except Exception as error:  # samples that NumPy or the harness cannot carry over
                    verdict = f"harness: {type(error).__name__}: {str(error)[:200]}"
                except TooLong:
                    verdict = f"takes longer than {SECONDS} s"
                if verdict is not None:
                    yield Result(full_name(self.op), self.dtype, check, index, verdict)

    def _listed(self) -> bool:
        return getattr(torch, self.dtype) in self.op.supported_dtypes("cpu")

    def _samples(self, limit: int | None = None, requires_grad: bool = False) -> list[tuple[int, Any]]:
        if requires_grad not in self.made:
            self.made[requires_grad] = samples(self.op, self.dtype, requires_grad) if self._listed() else []
        return _spread(self.made[requires_grad], self.limit if limit is None else limit)

    def _few(self) -> list[tuple[int, Any]]:
        return self._samples(self.limit and max(1, self.limit // 2))

    def _compare(self, theirs: Callable[..., Any], mine: Callable[..., Any], sample: Any) -> str:
        args, kwargs = copied(sample)
        my_args, my_kwargs = to_ours((args, kwargs))
        process, my_process = self._processing(sample)
        _, expected = attempt(lambda: process(theirs(*args, **kwargs)))
        _, got = attempt(lambda: my_process(mine(*my_args, **my_kwargs)))
        return self._differs(expected, got, sample, lambda *a, **k: process(theirs(*a, **k)))

    def _processing(self, sample: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """What makes results comparable that are unique up to signs only: the sample says how."""
        process = sample.output_process_fn_grad
        if self.op.name not in UP_TO_SIGN or not isinstance(process, types.FunctionType):
            return _unprocessed, _unprocessed
        return process, ours(process)

    def _differs(self, expected: Any, got: Any, sample: Any, function: Callable[..., Any]) -> str:
        """The disagreement of two results, if it is one: neither a choice between equal elements, nor a rounding that is torch's own."""
        found = disagreement(expected, got, self.tolerance, self.values)
        if not found.startswith("value"):
            return found
        if same_elements(self.op.name, sample, expected, got):
            return ""
        if self.dtype in WIDER:
            narrow, wide = getattr(torch, self.dtype), getattr(torch, WIDER[self.dtype])
            args, kwargs = copied(sample)
            kwargs = {key: _widened(value, narrow, wide) for key, value in kwargs.items()}
            _, exact = attempt(lambda: function(*_widened(args, narrow, wide), **kwargs))
            if no_further(exact, expected, got, self.tolerance):
                return ""
        return found

    def _function(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        for i, sample in self._samples():
            yield i, lambda sample=sample: self._compare(self.op.op, ours(self.op.op, self.op.name), sample)

    def _variant(self, variant: Any) -> Iterator[tuple[int, Callable[[], Any]]]:
        if variant is None or variant is self.op.op:
            return
        for i, sample in self._few():
            yield i, lambda sample=sample: self._compare(variant, ours(variant), sample)

    def _method(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        return self._variant(self.op.method_variant)

    def _operator(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        return self._variant(self.op.operator_variant)

    def _strided(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        for i, sample in self._few():
            yield i, lambda sample=sample: self._compare(self.op.op, ours(self.op.op, self.op.name), sample.noncontiguous())

    def _inplace(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        for variant in (self.op.inplace_variant, self.op.inplace_operator_variant):
            if variant is not None:
                for i, sample in self._few():
                    if not sample.broadcasts_input:
                        yield i, lambda variant=variant, sample=sample: self._write(variant, sample)

    def _write(self, variant: Any, sample: Any) -> str:
        mine = ours(variant)
        args, kwargs = copied(sample)
        my_args, my_kwargs = to_ours((args, kwargs))
        tensors = isinstance(args[0], torch.Tensor)
        before = (args[0]._version, my_args[0]._version) if tensors else (0, 0)
        result, expected = attempt(lambda: variant(*args, **kwargs))
        my_result, got = attempt(lambda: mine(*my_args, **my_kwargs))
        found = self._differs(expected, got, sample, variant)
        if found or isinstance(expected, Raised) or not tensors:
            return found
        if (result is args[0]) != (my_result is my_args[0]):
            return f"alias: torch returns the tensor itself: {result is args[0]}; monograph: {my_result is my_args[0]}"
        if (args[0]._version > before[0]) != (my_args[0]._version > before[1]):
            return f"version: torch counts {args[0]._version - before[0]} writes; monograph {my_args[0]._version - before[1]}"
        return ""

    def _out(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        if self.op.supports_out:
            for i, sample in self._few():
                for form in ("same", "smaller", "int8"):
                    yield i, lambda sample=sample, form=form: self._into(sample, form)

    def _into(self, sample: Any, form: str) -> str | None:
        """`out=` of the right shape and dtype, of another shape (resized), of a dtype that may not hold the result (an error)."""
        function, mine = self.op.op, ours(self.op.op, self.op.name)
        args, kwargs = copied(sample)
        if "out" in kwargs:
            return None
        result, _ = attempt(lambda: function(*args, **kwargs))
        parts = result if isinstance(result, (tuple, list)) else [result]
        if not parts or not all(isinstance(part, torch.Tensor) for part in parts):
            return None

        def like(part: torch.Tensor) -> torch.Tensor:
            dtype = torch.int8 if form == "int8" else part.dtype
            return torch.zeros((part.numel() + 1,) if form == "smaller" else part.shape, dtype=dtype)

        out = tuple(map(like, parts)) if isinstance(result, (tuple, list)) else like(result)
        args, kwargs = copied(sample)
        my_args, my_kwargs, my_out = to_ours((args, kwargs, out))
        process, my_process = self._processing(sample)
        returned, expected = attempt(lambda: function(*args, **kwargs, out=out))
        my_returned, got = attempt(lambda: mine(*my_args, **my_kwargs, out=my_out))
        if isinstance(expected, Raised) or isinstance(got, Raised):
            return (found := disagreement(expected, got)) and f"{form}: {found}"
        if isinstance(out, torch.Tensor) and (returned is out) != (my_returned is my_out):
            return f"{form}: alias: out= is not what is returned"
        for theirs, others in ((returned, my_returned), (out, my_out)):
            judge = lambda *a, **k: process(function(*a, **k))  # noqa: E731
            if found := self._differs(plain(process(theirs)), plain(my_process(others)), sample, judge):
                return f"{form}: {found}"
        return ""

    def _gradient(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        return self._differentiated(False)

    def _second(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        return self._differentiated(True)

    def _differentiated(self, twice: bool) -> Iterator[tuple[int, Callable[[], Any]]]:
        if self.dtype not in ("float64", "complex128") or not self.op.supports_autograd or (twice and not self.op.supports_gradgrad):
            return
        if is_random(self.op):
            return
        for i, sample in self._samples(self.limit and max(1, self.limit // (2 if twice else 1)), requires_grad=True):
            yield i, lambda sample=sample: self._gradients(sample, twice)

    def _gradients(self, sample: Any, twice: bool) -> str | None:
        mine = ours(self.op.op, self.op.name)
        process = sample.output_process_fn_grad
        args, kwargs = copied(sample)
        my_args, my_kwargs = to_ours((args, kwargs))
        # How PyTorch's gradient checks call it: of a triangular or symmetric input only such changes have a gradient.
        wrapper = self.op.gradcheck_wrapper
        theirs = _differentiate(torch, lambda: process(wrapper(self.op.op, *args, **kwargs)), leaves((args, kwargs)), twice)
        if theirs is None or isinstance(theirs, Raised):
            return None
        my_wrapper, my_process = (ours(f) if isinstance(f, types.FunctionType) else f for f in (wrapper, process))
        got = _differentiate(mg, lambda: my_process(my_wrapper(mine, *my_args, **my_kwargs)), leaves((my_args, my_kwargs)), twice)
        if got is None and all(not gradient.values.any() for gradient in theirs):
            return ""  # no gradient, and one that is zero everywhere
        return disagreement(theirs, got, tuple(max(allowed, 1e-6) for allowed in self.tolerance or TOLERANCE[self.dtype]))

    def _error(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        if self.op.error_inputs_func is None or self.dtype != "float32":
            return
        _seed()
        for i, case in enumerate(self.op.error_inputs("cpu")):
            yield i, lambda case=case: self._compare(self.op.op, ours(self.op.op, self.op.name), case.sample_input)

    def _unlisted(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        """A dtype that torch does not list for this op: to raise as well, or to give something sensible."""
        if self._listed() or is_random(self.op):
            return
        try:
            found = _spread(samples(self.op, self.dtype), 1)
        except Exception:  # PyTorch's samples are made for listed dtypes
            return
        for i, sample in found:
            yield i, lambda sample=sample: self._beyond(sample)

    def _beyond(self, sample: Any) -> str:
        args, kwargs = copied(sample)
        mine, (my_args, my_kwargs) = ours(self.op.op, self.op.name), to_ours((args, kwargs))
        _, expected = attempt(lambda: self.op.op(*args, **kwargs))
        _, got = attempt(lambda: mine(*my_args, **my_kwargs))
        if isinstance(expected, Raised) and not isinstance(got, Raised):
            return "extension"
        return disagreement(expected, got, self.tolerance, self.values)


def _unprocessed(result: Any) -> Any:
    return result


def leaves(tree: Any) -> list[Any]:
    """The tensors of nested arguments that collect gradients."""
    if isinstance(tree, (torch.Tensor, mg.Tensor)):
        return [tree] if tree.requires_grad else []
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (tuple, list)) else ()
    return [leaf for item in items for leaf in leaves(item)]


def _tensors(tree: Any) -> list[Any]:
    if isinstance(tree, (torch.Tensor, mg.Tensor)):
        return [tree] if tree.requires_grad else []
    return [t for item in tree for t in _tensors(item)] if isinstance(tree, (tuple, list)) else []


def _cotangents(frame: Any, outputs: list[Any], seed: int) -> list[Any]:
    made = []
    for i, y in enumerate(outputs):
        generator = torch.Generator().manual_seed(seed + i)
        real = torch.randn(tuple(y.shape), generator=generator, dtype=torch.float64)
        if str(y.dtype).rsplit(".", 1)[-1].startswith("complex"):
            real = torch.complex(real, torch.randn(tuple(y.shape), generator=generator, dtype=torch.float64))
        cotangent = real.to(getattr(torch, str(y.dtype).rsplit(".", 1)[-1]))
        made.append(cotangent if frame is torch else to_ours(cotangent))
    return made


def _differentiate(frame: Any, call: Callable[[], Any], inputs: list[Any], twice: bool) -> Any:
    """The gradients of `call`'s outputs with fixed cotangents, as arrays (None: no gradient); with `twice`, the gradients of those."""

    def gradients() -> Any:
        outputs = _tensors(call())
        if not outputs or not inputs:
            return None
        grads = frame.autograd.grad(outputs, inputs, _cotangents(frame, outputs, 1), create_graph=twice, allow_unused=True)
        if twice:
            outputs = [g for g in grads if g is not None and g.requires_grad]
            if not outputs:
                return None
            grads = frame.autograd.grad(outputs, inputs, _cotangents(frame, outputs, 100), allow_unused=True)
        return tuple(frame.zeros_like(x) if g is None else g for g, x in zip(grads, inputs, strict=True))

    return attempt(gradients)[1]
