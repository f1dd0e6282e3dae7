"""torch.autograd.functional: Jacobians, Hessians and their products with vectors, of functions of a tensor or a tuple of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.func import derivatives
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS


def _tuple(values: Any, what: str) -> tuple[tuple[Tensor, ...], bool]:
    """Values as a tuple, and whether they were one already."""
    many = isinstance(values, tuple)
    made = values if many else (values,)
    for i, v in enumerate(made):
        if not isinstance(v, Tensor):
            where = f"element {i} of the {what} tuple" if many else what
            raise TypeError(f"The {where} should be a Tensor or a tuple of Tensors, got {type(v).__name__}")
    return made, many


class _Function:
    """A function of a tuple of tensors that gives a tuple of tensors."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func, self.many = func, False

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        made, self.many = _tuple(self.func(*inputs), "outputs of the user-provided function")
        return made


def _finished(tree: Any, create_graph: bool) -> Any:
    """Results, off the tape unless they are to be differentiated further."""
    if isinstance(tree, tuple):
        return tuple(_finished(t, create_graph) for t in tree)
    return tree if create_graph else tree.detach()


def _check_strict(func: _Function, inputs: tuple[Tensor, ...], name: str) -> None:
    point = derivatives._Linearised(func, inputs, name, False)
    for i, output in enumerate(point.outputs):
        if not output.requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in a "
                "differentiable manner from the input when running in strict mode."
            )
        seeds = [FUNCTIONS["ones_like"](t) if k == i else None for k, t in enumerate(point.tensors)]
        found = derivatives.gradients([output], point.variables, [s._node for s in seeds if s is not None], partial=True)
        for j, g in enumerate(found):
            if g is None:
                raise RuntimeError(
                    f"Output {i} of the user-provided function is independent of input {j}. This is not allowed in strict mode."
                )


def _vectors(v: Any, like: tuple[Tensor, ...], what: str, name: str) -> tuple[Tensor, ...]:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:  # type: ignore[attr-defined]
            raise RuntimeError(
                f"The vector v can only be None if the {what} of the user-provided function is a single Tensor with a single "
                f"element. ({name})"
            )
        return tuple(FUNCTIONS["ones_like"](t) for t in like)
    given, _ = _tuple(v, "vector v")
    if len(given) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(given)}.")
    for i, (a, b) in enumerate(zip(given, like, strict=True)):
        if tuple(a.shape) != tuple(b.shape):
            raise RuntimeError(f"Entry {i} of v has invalid size: should be {tuple(b.shape)} but got {tuple(a.shape)}.")
    return given


def _one_or_all(values: tuple[Any, ...], many: bool) -> Any:
    return values if many else values[0]


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(*inputs), v times the Jacobian). v may be left out for a function that gives a single number.

    >>> import monograph as mg
    >>> mg.autograd.functional.vjp(lambda x: x.exp(), mg.zeros(2), mg.tensor([1.0, 2.0]))[1].tolist()
    [1.0, 2.0]
    """
    given, many = _tuple(inputs, "inputs given to vjp")
    function = _Function(func)
    if strict:
        _check_strict(function, given, "vjp")
    outputs, back = derivatives.vjp(function, *given)
    found = back(_vectors(v, outputs, "output", "vjp"))
    return _finished(_one_or_all(outputs, function.many), create_graph), _finished(_one_or_all(found, many), create_graph)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(*inputs), the Jacobian times v). v may be left out for a single input of one element."""
    given, _ = _tuple(inputs, "inputs given to jvp")
    function = _Function(func)
    if strict:
        _check_strict(function, given, "jvp")
    outputs, found = derivatives.jvp(function, given, _vectors(v, given, "input", "jvp"))
    return _finished(_one_or_all(outputs, function.many), create_graph), _finished(_one_or_all(found, function.many), create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian: for every output and input a tensor of output.shape + input.shape. Always computed for all rows (or columns) at once.

    >>> import monograph as mg
    >>> mg.autograd.functional.jacobian(lambda x: x * 2, mg.ones(2)).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(
            f'Expected strategy to be either "forward-mode" or "reverse-mode", got {strategy!r}. Hint: If your function has more '
            'outputs than inputs, "forward-mode" tends to be more performant.'
        )
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError(
            'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not supported together (yet).'
        )
    given, many = _tuple(inputs, "inputs given to jacobian")
    function = _Function(func)
    if strict:
        _check_strict(function, given, "jacobian")
    transform = derivatives.jacrev if strategy == "reverse-mode" else derivatives.jacfwd
    found = transform(function, tuple(range(len(given))))(*given)
    return _finished(_one_or_all(tuple(_one_or_all(tuple(row), many) for row in found), function.many), create_graph)


def _single(func: Callable[..., Any], name: str) -> Callable[..., Any]:
    def checked(*inputs: Tensor) -> Tensor:
        output = func(*inputs)
        if not isinstance(output, Tensor):
            raise RuntimeError("The function given to " + name + " should return a single Tensor")
        if output.numel() != 1:  # type: ignore[attr-defined]
            raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
        return output.reshape(())  # type: ignore[attr-defined]

    return checked


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function that gives a single number: for every pair of inputs a tensor of both shapes."""
    if outer_jacobian_strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')
    given, many = _tuple(inputs, "inputs given to hessian")
    positions = tuple(range(len(given)))
    outer = derivatives.jacrev if outer_jacobian_strategy == "reverse-mode" else derivatives.jacfwd
    found = outer(derivatives.grad(_single(func, "hessian"), positions), positions)(*given)
    return _finished(_one_or_all(tuple(_one_or_all(tuple(row), many) for row in found), many), create_graph)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(*inputs), the Hessian times v), of a function that gives a single number.

    >>> import monograph as mg
    >>> mg.autograd.functional.hvp(lambda x: (x**3).sum(), mg.ones(2), mg.tensor([1.0, 2.0]))[1].tolist()
    [6.0, 12.0]
    """
    given, many = _tuple(inputs, "inputs given to hvp")
    single = _single(func, "hvp")
    along = _vectors(v, given, "input", "hvp")
    both = derivatives.grad_and_value(single, tuple(range(len(given))))
    (_, value), (product, _) = derivatives.jvp(both, given, along)
    return _finished(value, create_graph), _finished(_one_or_all(tuple(product), many), create_graph)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(*inputs), v times the Hessian), of a function that gives a single number."""
    given, many = _tuple(inputs, "inputs given to vhp")
    single = _single(func, "vhp")
    along = _vectors(v, given, "input", "vhp")
    value = single(*given)
    _, back = derivatives.vjp(derivatives.grad(single, tuple(range(len(given)))), *given)
    return _finished(value, create_graph), _finished(_one_or_all(back(tuple(along)), many), create_graph)


__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
