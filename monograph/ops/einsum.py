"""einsum: products of any number of operands, summed over the subscripts that the result lacks; taken apart into matmul, mul and sum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArgumentError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import VIA_DECOMPOSITION, Family, Sample, define
from monograph.ops.contraction import matmul, same_number_type
from monograph.ops.elementwise import mul
from monograph.ops.reduce import sum as sum_dims
from monograph.ops.views import diagonal, permute, reshape

Labels = tuple[str, ...]  # one per dimension: a letter, or "...2" for the second dimension from the right that an ellipsis stands for


@attrs
class EinsumAttrs(Attrs):
    """The subscripts, as "ij,jk->ik"."""

    equation: str


# ---------------------------------------------------------------- the equation


@lru_cache(maxsize=1024)
def parse(equation: str, ranks: tuple[int, ...]) -> tuple[tuple[Labels, ...], Labels]:
    """The labels of every operand's dimensions and of the result's; raises ValueError in the words of torch.einsum."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        few = "more" if len(ranks) > len(terms) else "fewer"
        raise ArgumentError(
            f"einsum(): {few} operands were provided than specified in the equation: {len(ranks)} operands, equation {equation!r}"
        )
    operands = tuple(_operand_labels(term, rank, i, equation) for i, (term, rank) in enumerate(zip(terms, ranks, strict=True)))
    dots = max((sum(label.startswith(".") for label in labels) for labels in operands), default=0)
    ellipsis = tuple(f"...{k}" for k in range(dots, 0, -1))
    every = [label for labels in operands for label in labels]
    if not arrow:
        letters = sorted({label for label in every if not label.startswith(".") and every.count(label) == 1})
        return operands, (*ellipsis, *letters)
    output: list[str] = []
    for label in _letters(right, "the output", equation):
        if label == "...":
            output.extend(ellipsis)
        elif label in output:
            raise ArgumentError(f"einsum(): output subscript {label} appears more than once in the output of {equation!r}")
        elif label not in every:
            raise ArgumentError(f"einsum(): output subscript {label} does not appear in the equation for any input operand: {equation!r}")
        else:
            output.append(label)
    return operands, tuple(output)


def _letters(term: str, where: str, equation: str) -> list[str]:
    before, dots, after = term.partition("...")
    if "." in before or "." in after:
        raise ArgumentError(f"einsum(): found '.' for {where} that is not part of a single ellipsis '...' in {equation!r}")
    for letter in before + after:
        if not (letter.isascii() and letter.isalpha()):
            raise ArgumentError(
                f"einsum(): invalid subscript given for {where}: {letter!r} in {equation!r}, subscripts must be in [a-zA-Z]"
            )
    return [*before, *(["..."] if dots else []), *after]


def _operand_labels(term: str, rank: int, number: int, equation: str) -> Labels:
    letters = _letters(term, f"operand {number}", equation)
    named = len(letters) - ("..." in letters)
    if "..." not in letters and named != rank:
        raise ArgumentError(
            f"einsum(): the number of subscripts in the equation ({named}) does not match the number of dimensions ({rank}) for operand "
            f"{number} "
            f"and no ellipsis was given: {equation!r}"
        )
    if named > rank:
        raise ArgumentError(
            f"einsum(): the number of subscripts in the equation ({named}) is more than the number of dimensions ({rank}) for operand "
            f"{number}: {equation!r}"
        )
    labels: list[str] = []
    for letter in letters:
        labels.extend([letter] if letter != "..." else [f"...{k}" for k in range(rank - named, 0, -1)])
    return tuple(labels)


def sizes_of(operands: Sequence[Labels], shapes: Sequence[Shape], equation: str) -> dict[str, Any]:
    """The size of every label; a size of 1 broadcasts. Raises ShapeError where two sizes differ."""
    sizes: dict[str, Any] = {}
    for number, (labels, shape) in enumerate(zip(operands, shapes, strict=True)):
        for label, size in zip(labels, shape, strict=True):
            first = shape[labels.index(label)]
            if first != size:
                raise ShapeError(
                    f"einsum(): subscript {label} is repeated for operand {number} but the sizes don't match, {size} != {first}"
                )
            known = sizes.setdefault(label, size)
            if known == 1:
                sizes[label] = size
            elif size != known and size != 1:
                raise ShapeError(
                    f"einsum(): subscript {label} has size {size} for operand {number} which does not broadcast with previously seen size "
                    f"{known}: "
                    f"equation {equation!r}, shapes {', '.join(str(list(s)) for s in shapes)}"
                )
    return sizes


def _einsum_type(a: EinsumAttrs, *xs: Any) -> tuple[Shape, DType]:
    operands, output = parse(a.equation, tuple(len(x.shape) for x in xs))
    sizes = sizes_of(operands, [x.shape for x in xs], a.equation)
    return tuple(sizes[label] for label in output), same_number_type("einsum", *xs)


# ---------------------------------------------------------------- the parts


def _diagonal(x: Node, labels: Labels) -> tuple[Node, Labels]:
    """Repeated labels of one operand: the diagonal of their dimensions, which then is the last dimension."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            x = diagonal(x, offset=0, dim1=first, dim2=second)
            labels = (*(other for i, other in enumerate(labels) if i not in (first, second)), label)
    return x, labels


def _drop_ones(x: Node, labels: Labels, sizes: dict[str, Any]) -> tuple[Node, Labels]:
    """Dimensions of size 1 that broadcast against a larger one of the same label are left out: products broadcast by label."""
    keep = [i for i, label in enumerate(labels) if x.shape[i] == sizes[label]]
    if len(keep) == len(labels):
        return x, labels
    return reshape(x, shape=tuple(x.shape[i] for i in keep)), tuple(labels[i] for i in keep)


def _sum_out(x: Node, labels: Labels, needed: set[str]) -> tuple[Node, Labels]:
    gone = tuple(i for i, label in enumerate(labels) if label not in needed)
    return (sum_dims(x, dims=gone, keepdim=False), tuple(label for label in labels if label in needed)) if gone else (x, labels)


def _arranged(x: Node, labels: Labels, order: Sequence[str]) -> Node:
    dims = tuple(labels.index(label) for label in order)
    return x if dims == tuple(range(len(dims))) else permute(x, dims=dims)


def _product(sizes: Iterable[Any]) -> Any:
    n: Any = 1
    for s in sizes:
        n = n * s
    return n


def _contract(x: Node, lx: Labels, y: Node, ly: Labels, needed: set[str], sizes: dict[str, Any]) -> tuple[Node, Labels]:
    """The product of two operands, summed over the labels that nobody needs any more."""
    x, lx = _sum_out(x, lx, needed | set(ly))
    y, ly = _sum_out(y, ly, needed | set(lx))
    batch = [label for label in lx if label in ly and label in needed]
    inner = [label for label in lx if label in ly and label not in needed]
    left = [label for label in lx if label not in ly]
    right = [label for label in ly if label not in lx]
    both = [sizes[label] for label in batch]
    m, n = [sizes[label] for label in left], [sizes[label] for label in right]
    if not inner:
        x = reshape(_arranged(x, lx, [*batch, *left]), shape=(*both, *m, *[1] * len(n)))
        y = reshape(_arranged(y, ly, [*batch, *right]), shape=(*both, *[1] * len(m), *n))
        return mul(x, y), (*batch, *left, *right)
    k = _product(sizes[label] for label in inner)
    x = reshape(_arranged(x, lx, [*batch, *left, *inner]), shape=(*both, _product(m), k))
    y = reshape(_arranged(y, ly, [*batch, *inner, *right]), shape=(*both, k, _product(n)))
    return reshape(matmul(x, y), shape=(*both, *m, *n)), (*batch, *left, *right)


def _einsum(a: EinsumAttrs, *xs: Node) -> Node:
    operands, output = parse(a.equation, tuple(len(x.shape) for x in xs))
    sizes = sizes_of(operands, [x.shape for x in xs], a.equation)
    parts = []
    for x, labels in zip(xs, operands, strict=True):
        x, labels = _diagonal(x, labels)
        parts.append(_drop_ones(x, labels, sizes))
    result, labels = parts[0]
    for i, (x, other) in enumerate(parts[1:], 1):
        later = {label for _, ls in parts[i + 1 :] for label in ls}
        result, labels = _contract(result, labels, x, other, later | set(output), sizes)
    result, labels = _sum_out(result, labels, set(output))
    return _arranged(result, labels, output)


def _einsum_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(3)

    def sample(equation: str, *shapes: Shape) -> Sample:
        return Sample(tuple(draw.standard_normal(s) for s in shapes), EinsumAttrs(equation))

    yield sample("ij,jk->ik", (2, 3), (3, 4))
    yield sample("ij,jk", (2, 3), (3, 4))
    yield sample("ba", (2, 3))
    yield sample("ii->i", (3, 3))
    yield sample("ii", (3, 3))
    yield sample("iji->j", (2, 3, 2))
    yield sample("iij,jk->ik", (2, 2, 3), (3, 4))
    yield sample("ij->", (2, 3))
    yield sample("i,j->ij", (2,), (3,))
    yield sample("i,i", (3,), (3,))
    yield sample("bij,bjk->bik", (2, 2, 3), (2, 3, 2))
    yield sample("...ij,...jk->...ik", (2, 1, 2, 3), (4, 3, 2))
    yield sample("b...,b...->...b", (2, 3), (2, 3))
    yield sample("...a->a", (2, 3))
    yield sample("bhqd,bhkd->bhqk", (1, 2, 3, 2), (1, 2, 4, 2))
    yield sample("ij,jk,kl->il", (2, 3), (3, 2), (2, 3))
    yield sample("bn,anm,bm->ba", (2, 3), (4, 3, 2), (2, 2))
    yield sample("ij,ij->i", (2, 3), (2, 1))
    yield sample("ij,jk->ik", (2, 0), (0, 3))
    yield sample("ij,kl->", (2, 3), (2, 2))
    yield sample(",ij->ji", (), (2, 3))
    bad = [
        ("ij,jk->ik", ((2, 3), (4, 5)), ShapeError, "does not broadcast with previously seen size 3"),
        ("ij->ik", ((2, 3),), ValueError, "output subscript k does not appear"),
        ("ij->ii", ((2, 3),), ValueError, "appears more than once in the output"),
        ("ij,j->i", ((2, 3),), ValueError, "fewer operands were provided than specified"),
        ("i", ((2, 3),), ValueError, r"does not match the number of dimensions \(2\) for operand 0"),
        ("i1->i", ((2, 3),), ValueError, "invalid subscript given for operand 0"),
        ("ii->i", ((2, 3),), ShapeError, "is repeated for operand 0 but the sizes don't match"),
        (".i->i", ((2, 3),), ValueError, "not part of a single ellipsis"),
    ]
    for equation, shapes, error, match in bad:
        yield Sample(tuple(np.ones(s) for s in shapes), EinsumAttrs(equation), error=error, match=match)


einsum = define(
    "einsum", family=Family.CONTRACTION, attrs=EinsumAttrs, infer=_einsum_type, decompose=_einsum, vjp=VIA_DECOMPOSITION,
    samples=_einsum_samples,
    doc="Sums of products named by subscripts; operands are contracted from left to right.",
)  # fmt: skip
