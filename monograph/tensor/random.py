"""Random tensors: counter-based (Philox), seeded, the same under any number of threads, compiled or not."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import int64
from monograph.core.modes import MODES
from monograph.core.shape import numel
from monograph.ops import random as random_ops
from monograph.ops import source
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.creation import check_device, from_host, place
from monograph.tensor.delivery import creates_into_out, deliver, takes_out
from monograph.tensor.dispatch import apply, emit, read
from monograph.tensor.interop import host_array
from monograph.tensor.pointwise import FUNCTIONS, METHODS
from monograph.tensor.strides import sizes


def _no_replay(what: str) -> None:
    """A captured program takes fresh numbers at each replay: code that handles the generator itself runs uncompiled."""
    if MODES.capture is not None:
        MODES.capture.refuse(f"it {what}")


class Generator:
    """A seeded stream of random numbers: a key and a counter that moves on with every draw."""

    def __init__(self, device: Any = "cpu") -> None:
        self.device = check_device(device)
        self._seed, self._offset = 67280421310721, 0

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of `seed` from its beginning. Returns itself."""
        _no_replay("seeds a random generator")
        if isinstance(seed, str | bytes) or not hasattr(seed, "__int__"):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}; give an int")
        self._seed, self._offset = int(seed) & 0x7FFFFFFFFFFFFFFF, 0
        return self

    def seed(self) -> int:
        """Starts a stream that nobody has chosen; returns its seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed of this stream."""
        return self._seed

    def get_state(self) -> Tensor:
        """The state as a tensor of bytes."""
        _no_replay("reads the state of a random generator")
        return from_host(np.frombuffer(np.array([self._seed, self._offset], np.int64).tobytes(), np.uint8))

    def set_state(self, state: Tensor) -> None:
        """Goes back to a state from `get_state`."""
        raw = np.asarray(host_array(state), np.uint8).tobytes()
        if len(raw) != 16:
            raise RuntimeError(f"a generator state has 16 bytes, got {len(raw)}")
        _no_replay("sets the state of a random generator")
        self._seed, self._offset = (int(v) for v in np.frombuffer(raw, np.int64))

    def where(self) -> tuple[int, int]:
        """The seed and how far the stream has come, as numbers."""
        _no_replay("reads the state of a random generator")
        return self._seed, self._offset

    def go_to(self, seed: int, offset: int) -> None:
        """Goes to a place that `where` gave."""
        _no_replay("sets the state of a random generator")
        self._seed, self._offset = seed, offset

    def take(self, count: int) -> int:
        """Reserves `count` numbers; returns where they start (in blocks of four)."""
        at = self._offset
        self._offset += -(-int(count) // 4) + 1
        return at


default_generator = Generator()


def take_key(n: Any, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
    """(key, offset) as 0-d int64 tensors for a random op that draws n numbers. A captured program takes fresh ones at each replay."""
    g = generator or default_generator
    capture = MODES.capture
    if capture is not None:
        capture.draws(g)
        key = capture.live(lambda: g._seed, int64)
        return wrap(key), wrap(capture.live(lambda: g.take(n), int64))
    return wrap(source.number(g._seed, int64)), wrap(source.number(g.take(n), int64))


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator. Returns it. Text has to be that of a whole number: ValueError else."""
    return default_generator.manual_seed(int(seed) if isinstance(seed, str) else seed)


def _drawn(op: Any, shape: tuple[Any, ...], dtype: DType, generator: Generator | None, **attrs: Any) -> Tensor:
    if any(isinstance(n, int) and n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    key, offset = take_key(numel(shape), generator)
    return apply(op, key, offset, shape=shape, dtype=dtype, **attrs)


def _floating(op: Any, name: str) -> Any:
    def function(
        *size: Any,
        generator: Generator | None = None,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        d = dtypes.given(dtype, dtypes.defaults.floating)
        if d.kind == "c":  # both parts are drawn; normal numbers of variance 1 have half of it in each
            pairs = _drawn(op, (*sizes(size), 2), d.to_real(), generator)
            pairs = pairs * math.sqrt(0.5) if op is random_ops.random_normal else pairs  # type: ignore[operator]
            return place(FUNCTIONS["view_as_complex"](pairs), device, requires_grad)
        if d.kind != "f":
            raise RuntimeError(f"{name}: not implemented for dtype {d.name}")
        return place(_drawn(op, sizes(size), d, generator), device, requires_grad)

    function.__name__ = name
    return function


rand = _floating(random_ops.random_uniform, "rand")
rand.__doc__ = "Uniform numbers in [0, 1)."
randn = _floating(random_ops.random_normal, "randn")
randn.__doc__ = "Normal numbers of mean 0 and variance 1."


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Any = None,
    layout: Any = None,
) -> Tensor:
    """Integers in [low, high): randint(high, size) or randint(low, high, size)."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if high is None or low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    dtype = dtypes.given(dtype, int64)
    made = _drawn(random_ops.random_int, sizes((size,)), int64, generator, low=int(low), high=int(high))
    return place(made if dtype is int64 else FUNCTIONS["_to_dtype"](made, dtype), device, requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    out: Any = None,
    layout: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """The numbers 0 ... n-1 in random order."""
    dtype = dtypes.given(dtype, int64)
    key, offset = take_key(n, generator)
    made = apply(random_ops.random_permutation, key, offset, n=int(n))
    return place(made if dtype is int64 else FUNCTIONS["_to_dtype"](made, dtype), device, requires_grad)


def _known(t: Tensor) -> np.ndarray | None:
    """The values of a tensor that has been computed, None for one that waits."""
    return host_array(t) if MODES.capture is None and read(t).value is not None else None


def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None, out: Any = None) -> Tensor:  # noqa: A002
    """1 with probability input (or p), else 0.

    Raises RuntimeError for a p outside [0, 1], and for such values of `input` where they are known already: pending work is not computed
    just to look at them.
    """
    if p is not None and not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli expects p to be in [0, 1], but got p={p}")
    values = _known(input) if p is None else None
    if values is not None and not ((values >= 0) & (values <= 1)).all():
        raise RuntimeError("bernoulli: Expected p_in >= 0 && p_in <= 1 to be true, but the probabilities hold a value outside [0, 1]")
    prob = read(input) if p is None else read(FUNCTIONS["full_like"](input, float(p)))
    key, offset = take_key(prob.numel, generator)
    drawn = emit(random_ops.bernoulli, prob, read(key), read(offset))
    return drawn if out is None else deliver(drawn.to(out.dtype), out)  # type: ignore[attr-defined]  # ones and zeros fit every dtype


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    out: Any = None,
) -> Tensor:
    """Normal numbers of the given means and standard deviations."""
    if size is None:
        like = mean if isinstance(mean, Tensor) else std
        size = like.shape
        if like.dtype.kind == "f":
            dtype = FUNCTIONS["result_type"](mean, std)
    drawn = randn(tuple(size), generator=generator, dtype=dtype, device=device) * std + mean
    return drawn.requires_grad_() if requires_grad else drawn


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None, out: Any = None
) -> Tensor:  # noqa: A002
    """Indices drawn in proportion to non-negative weights (rows of a matrix, or a vector).

    Raises RuntimeError for weights that are no such thing where they are known already: pending work is not computed just to look at them.
    """
    shape = tuple(input.shape)
    if len(shape) not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if input.dtype.kind != "f":
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {input.dtype.name}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if shape[-1] > 1 << 24:
        raise RuntimeError("number of categories cannot exceed 2^24")
    if not replacement and num_samples > shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    weights = _known(input)
    if weights is not None and weights.size:
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise RuntimeError("multinomial: probability tensor contains either `inf`, `nan` or element < 0")
        if not (weights > 0).any(-1).all():
            raise RuntimeError("multinomial: invalid multinomial distribution (sum of probabilities <= 0)")
    if replacement:
        cumulative = METHODS["cumsum"](input, -1)
        total = cumulative[..., -1:]
        u = rand((*shape[:-1], num_samples), generator=generator, dtype=input.dtype) * total
        hits = METHODS["unsqueeze"](u, -1) >= METHODS["unsqueeze"](cumulative, -2)
        return METHODS["clamp"](hits.sum(-1), max=shape[-1] - 1)
    # Exponential race (Efraimidis and Spirakis 2006): the k smallest E/w are a draw without replacement.
    race = -METHODS["log"](1.0 - rand(shape, generator=generator, dtype=input.dtype)) / input
    return METHODS["topk"](race, num_samples, -1, False).indices


def _filling(draw: Any, name: str) -> Any:
    def method(self: Tensor, *args: Any, generator: Generator | None = None, **kwargs: Any) -> Tensor:
        made = draw(self, generator, *args, **kwargs)
        return METHODS["copy_"](self, made)

    method.__name__ = name
    return method


def _f(self: Tensor) -> DType:
    return self.dtype if self.dtype.kind in "fc" else dtypes.defaults.floating


def _uniform(self: Tensor, g: Any, low: float = 0.0, high: float = 1.0, **k: Any) -> Tensor:
    low, high = k.get("from", low), k.get("to", high)
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    return rand(self.shape, generator=g, dtype=_f(self)) * (high - low) + low


def _random(self: Tensor, g: Any, low: int = 0, high: int | None = None) -> Tensor:
    if high is None:
        low, high = 0, low or (1 << 24 if self.dtype.kind == "f" else int(dtypes.Info(self.dtype).max) if self.dtype.kind != "b" else 2)
    return randint(low, high, tuple(self.shape), generator=g)


METHODS.update(
    uniform_=_filling(_uniform, "uniform_"),
    bernoulli_=_filling(lambda self, g, p=0.5: bernoulli(p, generator=g) if isinstance(p, Tensor) else bernoulli(
    FUNCTIONS["empty"](self.shape), p, generator=g), "bernoulli_"),
    random_=_filling(_random, "random_"),
    bernoulli=bernoulli, multinomial=multinomial,
)  # fmt: skip


def _like(function: Any) -> Any:
    def like(
        input: Tensor,
        *,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
        memory_format: Any = None,
        layout: Any = None,
        generator: Generator | None = None,
    ) -> Tensor:  # noqa: A002
        where = input.device if device is None else device
        return function(tuple(input.shape), dtype=dtype or input.dtype, device=where, requires_grad=requires_grad, generator=generator)

    return like


def _randint_like(input: Tensor, low: Any = 0, high: Any = None, *, dtype: DType | None = None, **kwargs: Any) -> Tensor:  # noqa: A002
    """Integers from [low, high), or [0, low), in the shape and dtype of another tensor."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, tuple(input.shape), dtype=dtype or input.dtype, **{k: v for k, v in kwargs.items() if k != "memory_format"})


def _cauchy(self: Tensor, g: Any, median: float = 0.0, sigma: float = 1.0) -> Tensor:
    _floating_only("cauchy_", self)
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    return METHODS["tan"]((rand(self.shape, generator=g, dtype=_f(self)) - 0.5) * math.pi) * sigma + median


def _floating_only(name: str, x: Tensor) -> None:
    if x.dtype.kind != "f":
        raise NotImplementedError(f'"{name}" not implemented for \'{x.dtype.name}\'')


def _exponential(self: Tensor, g: Any, lambd: float = 1.0) -> Tensor:
    _floating_only("exponential_", self)
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    return -METHODS["log"](1.0 - rand(self.shape, generator=g, dtype=_f(self))) / lambd


def _log_normal(self: Tensor, g: Any, mean: float = 1.0, std: float = 2.0) -> Tensor:
    _floating_only("log_normal_", self)
    if std <= 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    return METHODS["exp"](randn(self.shape, generator=g, dtype=_f(self)) * std + mean)


def _geometric(self: Tensor, g: Any, p: float) -> Tensor:
    """The number of trials up to the first success."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    u = rand(self.shape, generator=g, dtype=dtypes.float32)
    return METHODS["ceil"](METHODS["log"](1.0 - u) / math.log(1 - p)).clamp(min=1)  # type: ignore[attr-defined]


def _normal(self: Tensor, g: Any, mean: float = 0.0, std: float = 1.0) -> Tensor:
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return randn(self.shape, generator=g, dtype=_f(self)) * std + mean


METHODS.update(
    cauchy_=_filling(_cauchy, "cauchy_"), exponential_=_filling(_exponential, "exponential_"),
    log_normal_=_filling(_log_normal, "log_normal_"), geometric_=_filling(_geometric, "geometric_"), normal_=_filling(_normal, "normal_"),
)  # fmt: skip
FUNCTIONS.update(
    rand=creates_into_out(rand), randn=creates_into_out(randn), randint=creates_into_out(randint), randperm=creates_into_out(randperm),
    bernoulli=bernoulli, normal=takes_out(normal, exact=False), multinomial=takes_out(multinomial),
    manual_seed=manual_seed,
    rand_like=_like(rand), randn_like=_like(randn), Generator=Generator, default_generator=default_generator,
    initial_seed=default_generator.initial_seed,
    seed=default_generator.seed, get_rng_state=default_generator.get_state, set_rng_state=default_generator.set_state,
    randint_like=_randint_like,
)  # fmt: skip
