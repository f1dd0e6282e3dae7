"""Reductions, scans, sorting and searching."""

from __future__ import annotations

from parity.cases.describe import Case, Input, distinct, floats, integers
from parity.frames import ALL, FLOATS, HALVES, INTS, NUMBERS

WAYS = (
    ("all", {}),
    ("dim 0", {"dim": 0}),
    ("dim -1 keepdim", {"dim": -1, "keepdim": True}),
)
SEVERAL = (*WAYS, ("dims 0, 2", {"dim": (0, 2)}), ("dims keepdim", {"dim": [1, -1], "keepdim": True}))


def reduction(name: str, ways, dtypes, grad=True, shapes=((2, 3, 4),), make=floats, **more) -> list[Case]:
    return [
        Case(f"{name} {way} {list(shape)}", lambda t, x, o=options: getattr(t, name)(x, **o), (make(*shape),), dtypes, grad, **more)
        for way, options in ways
        for shape in shapes
    ]


def by_method(text: str, *inputs: Input, dtypes=FLOATS, grad: bool = True, **more) -> Case:
    return Case(text, eval(f"lambda t, x, *rest: ({text})"), inputs, dtypes, grad, **more)


NARROW = tuple(name for name in NUMBERS if name != "bfloat16")

CASES = [
    *reduction("sum", SEVERAL, (*FLOATS, *HALVES, *INTS, "bool"), loosen=2.0),
    *reduction("sum", WAYS, NUMBERS, shapes=((0,), (3, 0), (5,)), loosen=2.0),
    *reduction("sum", (("all", {}), ("dim 0", {"dim": 0}), ("dim -1", {"dim": -1})), FLOATS, shapes=((),)),
    *reduction("mean", SEVERAL, (*FLOATS, *HALVES), loosen=2.0),
    *reduction("mean", WAYS, FLOATS, shapes=((0, 3), (5,))),
    *reduction("mean", (("all", {}),), ("int64",), grad=False),
    *reduction("prod", WAYS, (*FLOATS, "int32", "bool")),
    *reduction("prod", WAYS, FLOATS, shapes=((0,), (3, 0))),
    *reduction("amax", SEVERAL, NUMBERS, make=distinct),
    *reduction("amin", SEVERAL, NUMBERS, make=distinct),
    *reduction("max", WAYS, NUMBERS, make=distinct),
    *reduction("min", WAYS, NUMBERS, make=distinct),
    *reduction("max", WAYS, FLOATS, shapes=((0, 3),), grad=False),
    *reduction("argmax", WAYS, NARROW, grad=False, make=distinct),
    *reduction("argmin", WAYS, NARROW, grad=False, make=distinct),
    *reduction("any", WAYS, ALL, grad=False),
    *reduction("all", WAYS, ALL, grad=False),
    *reduction("any", WAYS, ("bool",), grad=False, shapes=((0,), (2, 0))),
    *reduction("all", WAYS, ("bool",), grad=False, shapes=((0,), (2, 0))),
    *reduction("var", SEVERAL, FLOATS, loosen=4.0),
    *reduction("std", SEVERAL, FLOATS, loosen=4.0),
    *reduction("var", (("unbiased", {"dim": 1, "unbiased": False}), ("correction", {"dim": 1, "correction": 0})), FLOATS),
    *reduction("logsumexp", (("dim 0", {"dim": 0}), ("dims", {"dim": (0, 2), "keepdim": True})), FLOATS),
    *reduction("count_nonzero", (("all", {}), ("dim 0", {"dim": 0})), ALL, grad=False),
    *reduction("cumsum", (("dim 0", {"dim": 0}), ("dim -1", {"dim": -1})), (*FLOATS, *INTS, "bool"), shapes=((2, 3, 4), (5,), (0,), (3, 0))),
    *reduction("cumprod", (("dim 0", {"dim": 0}), ("dim -1", {"dim": -1})), FLOATS),
    *reduction("norm", (("all", {}), ("dim 1", {"dim": 1}), ("p 1", {"p": 1}), ("p inf", {"p": float("inf"), "dim": -1})), FLOATS, loosen=4.0),
    by_method("t.nansum(x)", Input((18,), specials=True), grad=False),
    by_method("t.max(x, rest[0])", floats(3, 4), floats(4), dtypes=NUMBERS),
    by_method("x.max(1)", distinct(3, 4)),
    by_method("x.max(dim=1).values", distinct(3, 4)),
    by_method("x.max(dim=1).indices", distinct(3, 4), grad=False),
    by_method("x.sum(1)", floats(3, 4)),
    by_method("x.sum(dtype=t.float64)", floats(3, 4), dtypes=("float32", "int32")),
    by_method("x.mean((1, 2), keepdim=True)", floats(2, 3, 4, 5), loosen=2.0),
    by_method("x.var(0, unbiased=False)", floats(6, 3), loosen=4.0),
    by_method("t.var_mean(x, dim=1)", floats(3, 6), loosen=4.0),
    by_method("t.std_mean(x, dim=1)", floats(3, 6), loosen=4.0),
    by_method("t.sum(x, 0)", floats(3, 4)),
    by_method("t.median(x)", distinct(3, 5)),
    by_method("t.median(x, 1)", distinct(3, 5)),
    by_method("t.aminmax(x)", distinct(3, 5)),
    by_method("t.sort(x)", distinct(4, 5), dtypes=NARROW),
    by_method("t.sort(x, dim=0, descending=True)", distinct(4, 5), dtypes=NARROW),
    by_method("t.sort(x, stable=True)", integers(4, 9), grad=False),
    by_method("t.argsort(x)", distinct(4, 5), grad=False),
    by_method("t.argsort(x, dim=0, descending=True)", distinct(4, 5), grad=False),
    by_method("t.topk(x, 3)", distinct(4, 5)),
    by_method("t.topk(x, 2, dim=0, largest=False)", distinct(4, 5), layouts=("contiguous", "transposed", "strided")),  # no ties
    by_method("t.topk(x, 9)", distinct(4, 5)),
    by_method("t.sort(x)", distinct(0), grad=False),
    by_method("t.sort(x)", distinct(), grad=False),
    by_method("t.unique(x)", integers(4, 9), grad=False),
    by_method("t.unique(x, return_inverse=True, return_counts=True)", integers(4, 9), grad=False),
    by_method("t.bincount(x)", integers(20), grad=False),
    by_method("t.nonzero(x)", Input((4, 5), dtype="bool"), grad=False),
    by_method("x.nonzero(as_tuple=True)", Input((4, 5), dtype="bool"), grad=False),
    by_method("t.searchsorted(t.arange(10.), x.float())", floats(6, low=0, high=9), dtypes=("float32",), grad=False),
    by_method("t.cummax(x, 1)", distinct(3, 5)),
    by_method("t.nn.functional.softmax(x, dim=-1)", floats(3, 5), dtypes=(*FLOATS, *HALVES), loosen=2.0),
    by_method("t.softmax(x, 0)", floats(3, 5)),
    by_method("x.softmax(1)", floats(2, 3, 4)),
    by_method("t.softmax(x, -1)", Input((2, 9), specials=True), grad=False),
    by_method("t.nn.functional.log_softmax(x, dim=1)", floats(3, 5), dtypes=(*FLOATS, *HALVES), loosen=2.0),
    by_method("t.log_softmax(x, -1)", floats(5)),
    by_method("t.softmax(x, 0)", floats()),
    by_method("t.softmax(x, -1)", floats(3, 0)),
    by_method("t.nn.functional.softmax(x, dim=-1, dtype=t.float64)", floats(3, 5), dtypes=("float32",)),
    by_method("t.nn.functional.normalize(x, dim=1)", floats(3, 5), loosen=2.0),
    by_method("t.dist(x, rest[0])", floats(3, 4), floats(3, 4)),
    by_method("t.nn.functional.cosine_similarity(x, rest[0])", floats(3, 4), floats(3, 4), loosen=2.0),
]
