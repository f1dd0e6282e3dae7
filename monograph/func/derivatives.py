"""Derivatives as functions: grad, vjp, jvp, Jacobians, Hessians. They nest with each other and with vmap."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from monograph.autodiff.jvp import push_forward
from monograph.autodiff.vjp import gradients
from monograph.core import trees
from monograph.core.modes import MODES
from monograph.core.shape import numel
from monograph.func.tracing import Tracing
from monograph.func.vmap import vmap
from monograph.graph.node import Node, record, topological
from monograph.ops import source
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.dispatch import read
from monograph.tensor.pointwise import FUNCTIONS

Argnums = int | tuple[int, ...]


def _variable(t: Tensor) -> Node:
    """A node of t's value to differentiate by: known to nobody else."""
    with_grad, MODES.grad = MODES.grad, True
    try:
        node = record(source.clone, (read(t),))
    finally:
        MODES.grad = with_grad
    node.requires_grad = True
    if isinstance(MODES.capture, Tracing):
        MODES.capture.differentiated.append(node)
    return node


def _differentiable(t: Any, name: str) -> None:
    if not isinstance(t, Tensor):
        raise TypeError(f"{name}: the arguments to differentiate by must be Tensors, got {type(t).__name__}")
    if t.dtype.kind not in "fc":
        raise RuntimeError(f"{name}: expected inputs of floating dtype to differentiate by, got {t.dtype.name}")


def _outer_tape(outputs: list[Node], variables: list[Node]) -> bool:
    """Whether anything but our own variables makes the outputs differentiable: then gradients must be differentiable, too."""
    own = {id(v) for v in variables}
    if any(v.inputs and v.inputs[0].requires_grad for v in variables):
        return True
    for node in topological([o for o in outputs if o.requires_grad], stop=lambda n: not n.requires_grad or id(n) in own):
        if node.requires_grad and id(node) not in own and not any(i.requires_grad for i in node.inputs):
            return True
        if node.op is source.leaf and node.requires_grad:
            return True
    return False


class _Linearised:
    """A function evaluated at a point, ready to be differentiated."""

    def __init__(self, func: Callable[..., Any], primals: Any, name: str, has_aux: bool) -> None:
        leaves, self.inputs = trees.flatten(primals)
        for leaf in leaves:
            _differentiable(leaf, name)
        self.enabled = MODES.grad
        self.variables = [_variable(t) for t in leaves]
        MODES.grad = True
        try:
            result = func(*trees.unflatten(self.inputs, [wrap(v) for v in self.variables]))
        finally:
            MODES.grad = self.enabled
        self.aux: Any = None
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise RuntimeError(f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True")
            result, self.aux = result
        tensors, self.structure = trees.flatten(result)
        for t in tensors:
            if not isinstance(t, Tensor):
                raise RuntimeError(f"{name}: Expected f to return only tensors, got unsupported type {type(t)}")
        self.tensors = tensors
        MODES.grad = True
        try:
            self.outputs = [read(t) for t in tensors]
        finally:
            MODES.grad = self.enabled
        self.nested = self.enabled and _outer_tape(self.outputs, self.variables)

    def pull(self, seeds: list[Node]) -> Any:
        """The vector-Jacobian product with `seeds`, in the structure of the inputs."""
        MODES.grad = self.enabled and (self.nested or any(s.requires_grad for s in seeds))
        try:
            found = gradients(self.outputs, self.variables, seeds, partial=True)
            made = [source.zeros_like(v) if g is None else g for v, g in zip(self.variables, found, strict=True)]
        finally:
            MODES.grad = self.enabled
        return trees.unflatten(self.inputs, [wrap(g) for g in made])

    def seeds(self, cotangents: Any, name: str) -> list[Node]:
        """The nodes of cotangents, checked against the outputs."""
        given, structure = trees.flatten(cotangents)
        if structure != self.structure:
            raise RuntimeError(
                f"{name}: Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function."
            )
        nodes = []
        for t, o in zip(given, self.outputs, strict=True):
            node = read(t)
            if node.shape != o.shape:
                raise RuntimeError(f"{name}: cotangent of shape {list(node.shape)} for an output of shape {list(o.shape)}")
            nodes.append(node)
        return nodes

    def released(self, tree: Any) -> Any:
        """Results as the caller sees them: off our tape."""
        if self.nested:
            return tree
        leaves, structure = trees.flatten(tree)
        off = [wrap(record(source.detach, (read(t),))) if isinstance(t, Tensor) and t.requires_grad else t for t in leaves]
        return trees.unflatten(structure, off)

    @property
    def value(self) -> Any:
        """The outputs."""
        return self.released(trees.unflatten(self.structure, self.tensors))


def _split(args: tuple[Any, ...], argnums: Argnums, name: str) -> tuple[tuple[int, ...], Any]:
    """The positions to differentiate by, and the arguments there."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if not numbers:
        raise RuntimeError(f"{name}: argnums must be non-empty")
    places = []
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs")
        places.append(n % len(args))
    if len(set(places)) != len(places):
        raise RuntimeError(f"{name}: argnums elements must be unique, got {argnums}")
    return tuple(places), tuple(args[p] for p in places)


def _partial(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Any, places: tuple[int, ...]) -> Callable[..., Any]:
    def of_chosen(*chosen: Any) -> Any:
        full = list(args)
        for p, value in zip(places, chosen, strict=True):
            full[p] = value
        return func(*full, **kwargs)

    return of_chosen


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives (gradient, value), or (gradient, (value, aux)) of a `func` that returns a 0-d tensor.

    >>> import monograph as mg
    >>> g, v = mg.func.grad_and_value(lambda x: x**2)(mg.tensor(3.0))
    >>> g.item(), v.item()
    (6.0, 9.0)
    """

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        places, chosen = _split(args, argnums, "grad")
        point = _Linearised(_partial(func, args, kwargs, places), chosen, "grad", has_aux)
        if len(point.outputs) != 1 or point.structure is not None:
            raise RuntimeError(f"Expected f(*args) to return a tensor, got {len(point.outputs)} values")
        (output,) = point.outputs
        if output.shape != ():
            raise RuntimeError(
                f"Expected f(*args) to return a scalar tensor, got tensor with {len(output.shape)} dims. "
                "Maybe you forgot to reduce it, e.g. with sum()?"
            )
        found = point.pull([source.constant(1, output.dtype)])
        result = found[0] if isinstance(argnums, int) else found
        value = point.value
        return (result, (value, point.released(point.aux))) if has_aux else (result, value)

    return differentiated


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The gradient of a function that returns a 0-d tensor, by its `argnums`-th arguments.

    >>> import monograph as mg
    >>> mg.func.grad(mg.func.grad(mg.sin))(mg.tensor(0.0)).item()
    -0.0
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        result, value = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return differentiated


def value_and_grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """As `grad_and_value`, in JAX's order: (value, gradient)."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        result, value = both(*args, **kwargs)
        return value, result

    return differentiated


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """(func(*primals), a function from cotangents to the vector-Jacobian product), and aux if `has_aux`.

    >>> import monograph as mg
    >>> y, back = mg.func.vjp(lambda x: x * x, mg.tensor([1.0, 2.0]))
    >>> back(mg.ones(2))[0].tolist()
    [2.0, 4.0]
    """
    point = _Linearised(func, primals, "vjp", has_aux)

    def back(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        found = point.pull(point.seeds(cotangents, "vjp"))
        return found

    return (point.value, back, point.released(point.aux)) if has_aux else (point.value, back)


def jvp(
    func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], *, strict: bool = False, has_aux: bool = False
) -> tuple[Any, ...]:
    """(func(*primals), the Jacobian-vector product), and aux if `has_aux`.

    Tangents are pushed through the graph from inputs to outputs, see `autodiff/jvp.py`.

    >>> import monograph as mg
    >>> mg.func.jvp(mg.sin, (mg.tensor(0.0),), (mg.tensor(2.0),))[1].item()
    2.0
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp(f, primals, tangents): Expected primals and tangents to be tuples")
    given, structure = trees.flatten(primals)
    along, same = trees.flatten(tangents)
    if structure != same:
        raise RuntimeError("jvp(f, primals, tangents): Expected primals and tangents to have the same python structure.")
    for p, t in zip(given, along, strict=True):
        if tuple(p.shape) != tuple(t.shape):
            raise RuntimeError(f"jvp: a tangent of shape {list(t.shape)} for a primal of shape {list(p.shape)}")
    outer = MODES.grad
    MODES.grad = True
    try:
        point = _Linearised(func, primals, "jvp", has_aux)
        directions = [read(t) for t in along]
        # Not nested: the products themselves need no tape.
        MODES.grad = outer and (point.nested or any(d.requires_grad for d in directions))
        found = push_forward(point.outputs, point.variables, directions)
        made = [source.zeros_like(o) if g is None else g for o, g in zip(point.outputs, found, strict=True)]
    finally:
        MODES.grad = outer
    if strict and any(g is None for g in found):
        raise RuntimeError(
            "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not allowed with strict=True."
        )
    product = trees.unflatten(point.structure, [wrap(m) for m in made])
    return (point.value, product, point.released(point.aux)) if has_aux else (point.value, product)


# ---- Jacobians ----


def _basis(leaves: list[Tensor]) -> list[Tensor]:
    """For every leaf the unit vectors of all leaves together, one a row."""
    sizes = [numel(tuple(t.shape)) for t in leaves]
    total = sum(sizes)
    rows = FUNCTIONS["arange"](total).reshape(-1, 1)
    made, start = [], 0
    for t, n in zip(leaves, sizes, strict=True):
        columns = FUNCTIONS["arange"](n) + start
        made.append((rows == columns).to(t.dtype).reshape(total, *t.shape))
        start += n
    return made


def _argument(tree: Any, argnums: Argnums) -> Any:
    return tree[0] if isinstance(argnums, int) else tree


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """The Jacobian of `func` by reverse mode, all rows at once (by vmap): for every output and argument a tensor of both shapes.

    >>> import monograph as mg
    >>> mg.func.jacrev(mg.sin)(mg.zeros(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        places, chosen = _split(args, argnums, "jacrev")
        point = _Linearised(_partial(func, args, kwargs, places), chosen, "jacrev", has_aux)
        inputs, structure = trees.flatten(chosen)
        rows = vmap(lambda *seeds: tuple(trees.flatten(point.pull([read(s) for s in seeds]))[0]), chunk_size=chunk_size)(
            *_basis(point.tensors)
        )
        made, start = [], 0
        for o in point.outputs:
            n = numel(o.shape)
            parts = [r[start : start + n].reshape(*o.shape, *x.shape) for r, x in zip(rows, inputs, strict=True)]
            made.append(_argument(trees.unflatten(structure, parts), argnums))
            start += n
        result = trees.unflatten(point.structure, made)
        return (result, point.released(point.aux)) if has_aux else result

    return jacobian


def jacfwd(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *, chunk_size: int | None = None, randomness: str = "error"
) -> Callable[..., Any]:
    """The Jacobian of `func` by Jacobian-vector products, column by column at once (by vmap). For more outputs than inputs.

    >>> import monograph as mg
    >>> mg.func.jacfwd(lambda x: x * x)(mg.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        places, chosen = _split(args, argnums, "jacfwd")
        of_chosen = _partial(func, args, kwargs, places)
        inputs, structure = trees.flatten(chosen)
        shape: list[Any] = []
        aux: list[Any] = []

        def along(*directions: Tensor) -> Any:
            found = jvp(of_chosen, chosen, trees.unflatten(structure, list(directions)), has_aux=has_aux)
            if has_aux:
                aux[:] = [found[2]]
                return (found[1], found[2])
            shape[:] = [trees.flatten(found[1])[1]]
            return found[1]

        columns = vmap(along, chunk_size=chunk_size, randomness=randomness)(*_basis(inputs))
        if has_aux:
            columns, extra = columns
            aux_leaves, aux_structure = trees.flatten(extra)
            aux = [trees.unflatten(aux_structure, [a[0] for a in aux_leaves])]
        leaves, out_structure = trees.flatten(columns)
        made = []
        for c in leaves:
            parts, start = [], 0
            for x in inputs:
                n = numel(tuple(x.shape))
                parts.append(c[start : start + n].movedim(0, -1).reshape(*c.shape[1:], *x.shape))
                start += n
            made.append(_argument(trees.unflatten(structure, parts), argnums))
        result = trees.unflatten(out_structure, made)
        return (result, aux[0]) if has_aux else result

    return jacobian


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The matrix of second derivatives: jacfwd of jacrev.

    >>> import monograph as mg
    >>> mg.func.hessian(lambda x: (x**3).sum())(mg.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacfwd(jacrev(func, argnums), argnums)
