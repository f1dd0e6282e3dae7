"""Reading and writing through indices, gather, scatter and their relatives."""

from __future__ import annotations

from parity.cases.describe import Case, floats, integers, mask
from parity.frames import FLOATS

X = floats(4, 5)
DTYPES = ("float32", "int64", "bool")


def read(text: str, *more, dtypes=DTYPES, grad=True, first=X, **options) -> Case:
    return Case(text, eval(f"lambda t, x, *r: ({text})"), (first, *more), dtypes, grad, **options)


def write(statement: str, *more, dtypes=DTYPES, first=X, **options) -> Case:
    """A statement on a copy of x (`y`); the copy is what is compared."""
    code = compile(statement, "<case>", "exec")

    def call(t, x, *r):
        scope = {"t": t, "x": x, "y": x.clone(), "r": r}
        exec(code, scope)
        return scope["y"]

    return Case(statement, call, (first, *more), dtypes, **options)


BASIC = [
    read(text)
    for text in (
        *("x[0]", "x[-1]", "x[4]", "x[1, 2]", "x[1:3]", "x[::2]", "x[:, 1]", "x[:, -2:]", "x[1:1]", "x[..., 0]", "x[None]", "x[0:9]", "x[-3:-1, 2:4]"),
        *("x[1:, ::3]", "x[...]", "x[()]", "x[0, ..., 0]", "x[0, 0, 0]", "x[::-1]", "x[True]", "x[1.0]", "x[:, None, 1]", "x['a']", "x[5:2]"),
    )
]

ADVANCED = [
    read("x[[0, 2]]"),
    read("x[t.tensor([0, -1, 2])]"),
    read("x[t.tensor([[0, 1], [2, 3]])]"),
    read("x[t.tensor(2)]"),
    read("x[[0, 1], [2, 3]]"),
    read("x[t.tensor([[0], [1]]), t.tensor([0, 2])]"),
    read("x[:, [1, 1, 0]]"),
    read("x[1:3, t.tensor([0, 4])]"),
    read("x[t.tensor([0, 7])]"),
    read("x[t.tensor([], dtype=t.long)]"),
    read("x[r[0]]", mask(4, 5)),
    read("x[r[0]]", mask(4)),
    read("x[:, r[0]]", mask(5)),
    read("x[r[0]]", mask(3)),
    read("x[x > 0]", dtypes=FLOATS),
    read("x[t.tensor([0, 1]), None]"),
    read("x[:, t.tensor([0, 1]), :, t.tensor([1, 0])]", first=floats(2, 3, 4, 5)),
    read("x[0, :, t.tensor([1, 0, 2])]", first=floats(2, 3, 4)),
    read("x[..., t.tensor([True, False, True, False, True])]"),
    read("x[t.arange(4), r[0]]", integers(4, high=4)),
    read("x[t.tensor([0, 1], dtype=t.uint8)]", dtypes=("float32",), grad=False),
    read("x[t.tensor([0, 1], dtype=t.int32)]"),
    read("x[t.tensor([0.0])]"),
]

WRITES = [
    write(statement)
    for statement in (
        *("y[0] = 1", "y[1, 2] = 3", "y[:, 1] = x[:, 0]", "y[1:3] = x[0]", "y[::2] = 0", "y[...] = 1", "y[None] = 0", "y[0] = x[1:3]", "y[9] = 0"),
        *("y[[0, 2]] = 1", "y[t.tensor([0, 1]), t.tensor([1, 2])] = 1", "y[:, [0, 1]] = x[:, [2, 3]]", "y[0, t.tensor([0, 1])] = x[1, :2]"),
        *("y[2:, 1:] *= True", "y[t.tensor([0, 0])] = x[1]", "y[1:1] = 5", "y[y != y] = 0"),
    )
] + [
    write("y[r[0]] = 0", mask(4, 5)),
    write("y[r[0]] = x[0, 0]", mask(4)),
    write("y[r[0]] = x[r[0]]", mask(4, 5), layouts=("contiguous",)),
    write("y[0] += x[1]", dtypes=FLOATS),
    write("y[:, 0] -= 1.5", dtypes=FLOATS),
    write("y[t.tensor([0, 0, 1])] += 1", dtypes=FLOATS),
    write("y[1:3, 2] = t.tensor([1.5, 2.5])", dtypes=(*FLOATS, "int64")),
    write("y.fill_diagonal_(7)", dtypes=FLOATS),
    write("y.index_put_((t.tensor([0, 0, 1]),), x[:3], accumulate=True)", dtypes=FLOATS),
    write("y.masked_fill_(r[0], 2)", mask(4, 5)),
    write("y.masked_scatter_(r[0], x.flatten())", mask(4, 5), dtypes=FLOATS, layouts=("contiguous",)),
]

NAMED = [
    read("t.gather(x, 1, r[0])", integers(4, 3, high=4)),
    read("t.gather(x, 0, r[0])", integers(2, 5)),
    read("x.gather(1, r[0])", integers(4, 3, high=5, low=5)),
    read("x.gather(-1, r[0].argmax(-1, keepdim=True))", floats(4, 5), dtypes=FLOATS),
    read("t.take_along_dim(x, r[0], dim=1)", integers(4, 3, high=4)),
    read("t.take(x, r[0])", integers(3, high=19)),
    read("t.index_select(x, 0, r[0])", integers(6)),
    read("t.index_select(x, 1, r[0])", integers(2)),
    read("x.index_select(0, r[0])", integers(2, low=4, high=4)),
    read("t.masked_select(x, r[0])", mask(4, 5)),
    read("x.scatter(1, r[0], 1)", integers(4, 1, high=4), grad=False),
    read("t.zeros(4, 5).scatter(1, r[0], x[:, :1].float())", integers(4, 1, high=4), dtypes=("float32",)),
    read("t.zeros(4, 5).scatter_(1, r[0], 1.0)", integers(4, 1, high=4), dtypes=("float32",), grad=False),
    read("t.zeros(4, 5).scatter_add(0, r[0], x.float())", integers(4, 5), dtypes=("float32",)),
    read("t.zeros(4, 5).scatter_add_(1, r[0], x.float())", integers(4, 5, high=4), dtypes=("float32",)),
    read("x.scatter_reduce(1, r[0], x, reduce='amax')", integers(4, 5, high=4), dtypes=FLOATS, grad=False),
    read("x.index_add(0, t.tensor([0, 0, 3]), x[:3])", dtypes=FLOATS),
    read("x.index_add(1, t.tensor([4, 1]), x[:, :2], alpha=2)", dtypes=FLOATS),
    read("x.clone().index_fill_(0, t.tensor([0, 2]), 5)", dtypes=FLOATS),
    read("x.index_copy(0, t.tensor([0, 2]), x[1:3])", dtypes=FLOATS),
    read("t.nn.functional.embedding(r[0], x)", integers(2, 3), dtypes=FLOATS),
    read("t.nn.functional.embedding(r[0], x, padding_idx=1)", integers(2, 3), dtypes=FLOATS),
    read("t.nn.functional.embedding(r[0], x)", integers(2, low=4, high=4), dtypes=FLOATS),
]

CASES = [*BASIC, *ADVANCED, *WRITES, *NAMED]
