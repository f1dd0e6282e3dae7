"""Arguments of fuzzed calls, as source text: what is run is what is printed as the reproducer.

The text is evaluated with `mg` (or torch under that name), `nn`, `F` and the functions of `tests.fuzz.running.room`:
`t(shape, dtype, seed, form)` makes a tensor.
"""

from __future__ import annotations

import inspect
import random
from typing import Any

SHAPES = [(), (0,), (1,), (3,), (5,), (2, 3), (3, 3), (1, 4), (2, 0, 3), (2, 3, 4), (2, 4, 4), (1, 2, 4, 4), (2, 3, 1, 5), (1, 2, 3, 4, 4)]
FLOATS = ("float32", "float64", "float16", "bfloat16")
DTYPES = (*FLOATS, "int8", "int16", "int32", "int64", "uint8", "bool", "complex64", "complex128", "uint16", "uint32", "uint64")
FORMS = ("plain", "turned", "expanded", "strided", "row", "special", "grad", "numpy")
WILD = (
    "None", "'text'", "2**40", "-(2**40)", "2**63", "10**30", "float('nan')", "float('inf')", "-1", "[]", "()", "{}", "object()",
    "[[1], [2, 3]]", "1j", "True",
    "mg.float32", "mg.int64", "(2**31, 2**31)", "(-1, -1)", "'cpu'", "lambda x: x", "slice(None)", "...", "b'x'", "[None]",
    "[1.5, 'a']", "0.0",
    "t((2, 2), 'float32', 1, 'plain')", "mg.strided", "type", "range(3)", "mg.tensor(2)", "mg.tensor(1.0)", "mg.tensor([1, 0])", "2.0",
    "True", "False",
)  # fmt: skip
TENSORS = {
    "self", "input", "other", "tensor", "A", "B", "x", "y", "a", "b", "mat1", "mat2", "mat", "vec", "vec1", "vec2", "batch1",
    "batch2", "tensor1", "tensor2", "src",
    "source", "values", "end", "x1", "x2", "input1", "input2", "target", "query", "key", "value", "boundaries", "sorted_sequence",
    "LU", "L", "Q", "R", "tau",
    "q", "k", "v", "grad", "exponent", "ref", "variance", "var", "anchor", "negative", "log_probs", "gradient", "first", "second",
    "real", "imag", "n", "U",
}  # fmt: skip
INDICES = {"index", "indices", "label", "labels", "pivots", "LU_pivots", "offsets", "batch_sizes", "input_lengths", "target_lengths"}
DIMS = set("dim dim0 dim1 dim2 axis axis0 axis1 start_dim end_dim dims source destination axes diagonal offset".split())
SIZES = set("size shape sizes output_size normalized_shape kernel_size stride padding dilation output_padding repeats shifts".split())
LISTS = {"tensors", "matrices", "inputs", "arrays"}
WORDS = {
    "reduction": ("'mean'", "'sum'", "'none'"), "mode": ("'reflect'", "'nearest'", "'bilinear'", "'constant'", "'reduced'"),
    "norm": ("'ortho'", "'forward'", "None"),
    "rounding_mode": ("None", "'floor'", "'trunc'"), "reduce": ("'sum'", "'prod'", "'amax'", "'mean'"), "equation": ("'ij,jk'",
    "'ii'", "'i...->...'", "'ij->ji'"),
    "side": ("'left'", "'right'"), "indexing": ("'ij'", "'xy'"), "interpolation": ("'linear'", "'lower'"), "approximate":
    ("'none'", "'tanh'"), "UPLO": ("'L'", "'U'"),
    "ord": ("None", "2", "'fro'", "'nuc'", "-1", "0", "float('inf')"), "p": ("2", "0.5", "1", "'fro'", "0", "float('inf')"),
    "nonlinearity": ("'tanh'", "'relu'"),
}  # fmt: skip


class Arguments:
    """Draws the arguments of one call: most tensors share a shape and a dtype, so that most calls get far."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.shape = rng.choice(SHAPES)
        self.dtype = rng.choice(FLOATS[:2]) if rng.random() < 0.5 else rng.choice(DTYPES)

    def tensor(self, dtype: str = "", wild: bool = True) -> str:
        rng = self.rng
        draw = rng.random()
        shape = self.shape
        if draw > 0.88 and wild:
            shape = rng.choice(SHAPES)
        elif draw > 0.78:
            shape = tuple(1 if rng.random() < 0.4 else s for s in shape)[rng.randrange(2) :]
        kind = dtype or (self.dtype if rng.random() < 0.85 else rng.choice(DTYPES))
        form = "plain" if rng.random() < 0.4 else rng.choice(FORMS)
        return f"t({shape}, {kind!r}, {rng.randrange(99)}, {form!r})"

    def index(self) -> str:
        rng = self.rng
        shape = self.shape if rng.random() < 0.5 else (rng.randrange(4),)
        kind = rng.choice(("int64", "int64", "int64", "int32", "float32"))
        return f"index({shape}, {rng.choice((1, 2, 3, 5))}, {rng.randrange(99)}, {kind!r})"

    def number(self) -> str:
        return self.rng.choice(("0", "1", "2", "3", "-1", "0.5", "1.5", "-2.0", "1e-6", "0.0", "2", "1"))

    def dims(self) -> str:
        n = len(self.shape)
        one = lambda: str(self.rng.randint(-n - (self.rng.random() < 0.1), max(n - 1, 0)))  # noqa: E731 - said twice below
        return one() if self.rng.random() < 0.75 else f"({one()}, {one()})"

    def sizes(self) -> str:
        rng = self.rng
        if rng.random() < 0.4:
            return str(rng.choice((1, 2, 3, 0, -1)))
        odd = (-1 if rng.random() < 0.3 else 2, 0 if rng.random() < 0.3 else 1)
        return str(tuple(rng.choice((1, 2, 3, 4, *odd)) for _ in range(rng.randrange(4))))

    def wild(self) -> str:
        return self.rng.choice(WILD)

    def value(self, name: str, default: Any) -> str:
        """An argument for a parameter of this name and default."""
        rng = self.rng
        if rng.random() < 0.06:
            return self.wild()
        if name in ("out", "generator", "names", "layout", "device", "memory_format") or name.startswith("_"):
            return "None" if name != "out" or rng.random() < 0.5 else self.tensor()
        if name == "dtype":
            return f"mg.{rng.choice(DTYPES)}"
        if name in WORDS:
            return rng.choice(WORDS[name])
        if isinstance(default, bool):
            return rng.choice(("True", "False"))
        if name in LISTS:
            return "[" + ", ".join(self.tensor() for _ in range(rng.choice((1, 2, 2, 3, 0)))) + "]"
        if name in INDICES:
            return self.index()
        if name in ("mask", "condition", "attn_mask", "key_padding_mask"):
            return self.tensor("bool")
        if name in DIMS:
            return self.dims()
        if name in SIZES:
            return self.sizes()
        if name in TENSORS and not isinstance(default, int | float | str):
            return self.tensor() if rng.random() < 0.93 else self.number()
        if isinstance(default, int | float):
            return self.number()
        if default is None or default is inspect.Parameter.empty:
            return rng.choice((self.number, self.tensor, self.dims, self.sizes))()
        return repr(default) if isinstance(default, str) else self.number()


def arguments_text(function: Any, draw: Arguments, skip: int = 0, required_only: float = 0.6) -> str:
    """The text between the parentheses of a call of `function`."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[skip:]
    except (TypeError, ValueError):
        return ", ".join(draw.tensor() for _ in range(draw.rng.randrange(3)))
    parts, keyword = [], False
    for p in parameters:
        optional = p.default is not p.empty
        if p.kind is p.VAR_POSITIONAL:
            known = p.name if p.name in SIZES | DIMS | TENSORS else "input"
            parts += [draw.value(known, p.empty) for _ in range(draw.rng.randrange(3))]
        elif p.kind is p.VAR_KEYWORD:
            continue
        elif optional and draw.rng.random() < required_only:
            keyword = True
        else:
            text = draw.value(p.name, p.default)
            if keyword or p.kind is p.KEYWORD_ONLY:
                if p.kind is not p.POSITIONAL_ONLY:
                    parts.append(f"{p.name}={text}")
            else:
                parts.append(text)
    if draw.rng.random() < 0.02:
        parts.append("wrong_name=1")
    return ", ".join(parts)
