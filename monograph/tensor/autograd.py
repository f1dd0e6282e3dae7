"""The public face of autograd: backward, grad, hooks, grad_fn."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from monograph.autodiff import vjp
from monograph.core.errors import AutogradError
from monograph.core.modes import MODES
from monograph.graph.node import Node
from monograph.ops import source
from monograph.tensor import dispatch
from monograph.tensor.core import Tensor, node_of, wrap
from monograph.tensor.dispatch import read
from monograph.tensor.function import Function, once_differentiable  # noqa: F401 - part of this room's autograd
from monograph.tensor.pointwise import METHODS


def _seed(t: Tensor, gradient: Tensor | None) -> Node:
    node = node_of(t)
    if gradient is None:
        if node.numel != 1:
            raise RuntimeError(
                f"grad can be implicitly created only for scalar outputs; this one has shape {list(node.shape)}: reduce it first, or pass "
                "gradient="
            )
        if node.dtype.kind == "c":
            raise RuntimeError(
                f"grad can be implicitly created only for real scalar outputs but got {node.dtype.name}: take y.abs() or y.real, or pass "
                "gradient="
            )
        return source.constant(1, node.dtype, node.shape)
    g = read(gradient)
    if g.shape != node.shape:
        raise RuntimeError(f"Mismatch in shape: grad_output has a shape of {list(g.shape)} and output has a shape of {list(node.shape)}.")
    return g if g.dtype is node.dtype else dispatch.cast_node(g, node.dtype)


def _tensors(x: Any) -> list[Tensor]:
    return [x] if isinstance(x, Tensor) else list(x)


def _check_differentiable(outputs: list[Tensor]) -> None:
    for t in outputs:
        if not t.requires_grad:
            raise AutogradError(
                "element 0 of tensors does not require grad and does not have a grad_fn. Was it computed under no_grad(), or detached?"
            )


def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """Adds the gradients of `tensors` to the `.grad` of the leaves they depend on (only of `inputs`, if given).

    Raises RuntimeError when there is nothing to differentiate, when the graph was consumed before, or when a needed value was overwritten.
    """
    outputs = _tensors(tensors)
    given = [None] * len(outputs) if grad_tensors is None else [None if g is None else g for g in (_tensors(grad_tensors))]
    _check_differentiable(outputs)
    keep = create_graph if retain_graph is None else retain_graph
    before, MODES.grad = MODES.grad, True
    try:
        seeds = [_seed(t, g) for t, g in zip(outputs, given, strict=True)]
        dispatch.backward(outputs, seeds, keep, create_graph, None if inputs is None else _tensors(inputs))
    finally:
        MODES.grad = before


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of sum(outputs) with respect to inputs, as a tuple; .grad is not touched. With create_graph they are differentiable
    again.

    >>> import monograph as mg
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> (g,) = mg.autograd.grad(x**3, x, create_graph=True)
    >>> mg.autograd.grad(g, x)[0].item()
    18.0
    """
    out, into = _tensors(outputs), _tensors(inputs)
    given = (
        [None] * len(out)
        if grad_outputs is None
        else _tensors(grad_outputs)
        if not isinstance(grad_outputs, list | tuple)
        else list(grad_outputs)
    )
    _check_differentiable(out)
    for t in into:
        if not t.requires_grad:
            raise AutogradError("One of the differentiated Tensors does not require grad")
    keep = create_graph if retain_graph is None else retain_graph
    before, MODES.grad = MODES.grad, True
    try:
        roots, wanted = [read(t) for t in out], [read(t) for t in into]
        seeds = [_seed(t, g) for t, g in zip(out, given, strict=True)]
        MODES.grad = create_graph
        found = vjp.gradients(roots, wanted, seeds, frozen=not keep, check=dispatch.nan_check())
    finally:
        MODES.grad = before
    result: list[Tensor | None] = []
    for t, node, g in zip(into, wanted, found, strict=True):
        if g is None and (materialize_grads or _depends(roots, node)):
            g = source.zeros_like(node_of(t))
        if g is None and not allow_unused:
            raise AutogradError(
                "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is the "
                "desired behavior."
            )
        result.append(None if g is None else wrap(g))
    return tuple(result)


def _depends(roots: list[Node], target: Node) -> bool:
    """Whether the roots are a function of `target`, though no gradient came: a piecewise constant one (relu's slope), whose gradient is 0.

    A custom function that returns None says itself that there is none.
    """
    pending, seen = list(roots), set()
    while pending:
        node = pending.pop()
        if node is target:
            return True
        if node.requires_grad and id(node) not in seen:
            seen.add(id(node))
            if node.owner is None:
                pending += node.inputs
    return False


class RemovableHandle:
    """Takes a hook away again: `handle.remove()`, or a with block."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Takes the hook away."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def _tape_node(t: Tensor) -> Node:
    before, MODES.grad = MODES.grad, True
    try:
        return read(t)
    finally:
        MODES.grad = before


def _hooks_of(t: Tensor) -> list[Any]:
    """The hooks of a tensor's gradient. Those of a leaf stay with it when it gets a new value."""
    if t._leaf_flag and t._leaf_hooks is None:
        t._leaf_hooks = []
    if t._base is not None:
        t._hooked = True
    return vjp.hook(_tape_node(t), t._leaf_hooks)


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Calls `hook(grad)` when this tensor's gradient is computed; what it returns replaces the gradient.

    Raises RuntimeError for a tensor that no gradient flows into.
    """
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")

    def on_node(g: Node) -> Node:
        given = wrap(g)
        changed = hook(given)
        if changed is None:
            return node_of(given)  # the same, unless the hook wrote to it
        if not isinstance(changed, Tensor):
            raise TypeError(f"a tensor hook returns a Tensor or None, got {type(changed).__name__}")
        if changed.shape != given.shape:
            raise RuntimeError(f"hook has changed the size of value: {list(given.shape)} became {list(changed.shape)}")
        return node_of(changed)

    hooks = _hooks_of(self)
    hooks.insert(len(hooks) - self._retains, on_node)
    return RemovableHandle(hooks, on_node)


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Calls `hook(tensor)` each time a backward pass has added to this leaf's .grad."""
    if not self._leaf_flag:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    if self._post_hooks is None:
        self._post_hooks = []
    self._post_hooks.append(hook)
    return RemovableHandle(self._post_hooks, hook)


def retain_grad(self: Tensor) -> None:
    """Keeps the gradient of a tensor that is no leaf in its `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self._leaf_flag or self._retains:
        return
    me = weakref.ref(self)

    def keep(g: Node) -> Node:
        tensor = me()
        if tensor is not None:
            tensor._grad = wrap(g) if tensor._grad is None else tensor._grad + wrap(g)
        return g

    _hooks_of(self).append(keep)
    self._retains = True


class GradFn:
    """A readable handle on the op that made a tensor: `name()`, `next_functions`. Its class is named after the op, as torch's is."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def name(self) -> str:
        """torch's style of name: MulBackward0."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[GradFn | AccumulateGrad | None, int], ...]:
        """The handles of the op's inputs, None for those off the tape."""
        return tuple((_handle(i), 0) if i.requires_grad else (None, 0) for i in self._node.inputs)

    @property
    def metadata(self) -> dict[Any, Any]:
        """Notes of the user's, kept with the op."""
        return _metadata.setdefault(self._node, {})

    def register_prehook(self, fn: Callable[[tuple[Tensor | None, ...]], Any]) -> RemovableHandle:
        """Calls fn(grad_outputs) before the op's gradient is computed; a tuple that it returns takes their place."""

        def before(g: Any) -> Any:
            changed = fn(_wrapped(g))
            return g if changed is None else _unwrapped(changed, g)

        hooks = vjp.hook(self._node)
        hooks.append(before)
        return RemovableHandle(hooks, before)

    def register_hook(self, fn: Callable[[tuple[Tensor | None, ...], tuple[Tensor | None, ...]], Any]) -> RemovableHandle:
        """Calls fn(grad_inputs, grad_outputs) after the op's gradient was computed; a tuple that it returns goes to the inputs instead."""

        def after(grads: Any, g: Any) -> Any:
            changed = fn(_wrapped(tuple(grads)), _wrapped(g))
            return grads if changed is None else _unwrapped(changed, tuple(grads))

        hooks = vjp.followed.setdefault(self._node, [])
        hooks.append(after)
        return RemovableHandle(hooks, after)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self._node):#x}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GradFn) and other._node is self._node

    def __hash__(self) -> int:
        return hash(self._node)


_metadata: weakref.WeakKeyDictionary[Node, dict[Any, Any]] = weakref.WeakKeyDictionary()


def _wrapped(g: Any) -> tuple[Tensor | None, ...]:
    return tuple(None if part is None else wrap(part) for part in (g if isinstance(g, tuple) else (g,)))


def _unwrapped(changed: Any, like: Any) -> Any:
    parts = tuple(None if t is None else node_of(t) for t in (changed if isinstance(changed, tuple | list) else (changed,)))
    expected = len(like) if isinstance(like, tuple) else 1
    if len(parts) != expected:
        raise RuntimeError(f"a hook of a grad_fn returned {len(parts)} gradients where {expected} are expected")
    return parts if isinstance(like, tuple) else parts[0]


class AccumulateGrad:
    """The end of the chain: the leaf `variable` whose .grad collects."""

    next_functions: tuple[Any, ...] = ()

    @property
    def metadata(self) -> dict[Any, Any]:
        """Notes of the user's, kept with the leaf."""
        return self.variable.__dict__.setdefault("_notes", {})

    def register_prehook(self, fn: Callable[[tuple[Tensor | None, ...]], Any]) -> RemovableHandle:
        """Calls fn((gradient,)) before it is added to the leaf's .grad; a tuple that it returns takes its place."""

        def before(g: Tensor) -> Any:
            changed = fn((g,))
            return changed[0] if isinstance(changed, tuple) else changed

        return register_hook(self.variable, before)

    def register_hook(self, fn: Callable[[Any, Any], Any]) -> RemovableHandle:
        """Calls fn((), (gradient,)) after the leaf's .grad has grown."""
        return register_post_accumulate_grad_hook(self.variable, lambda t: fn((), (t.grad,)))

    def __init__(self, node: Node) -> None:
        self.variable = node.owner()

    def name(self) -> str:
        """As torch calls it."""
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


_grad_fn_classes: dict[str, type[GradFn]] = {}


def _handle(node: Node) -> GradFn | AccumulateGrad:
    while node.op is source.project:
        node = node.inputs[0]
    if node.op is source.leaf:
        return AccumulateGrad(node)
    name = node.owner.name if node.owner is not None else "".join(p.capitalize() for p in node.op.name.split("_")) + "Backward0"
    kind = _grad_fn_classes.get(name)
    if kind is None:
        kind = _grad_fn_classes[name] = type(name, (GradFn,), {})
    return kind(node)


def grad_fn(self: Tensor) -> GradFn | AccumulateGrad | None:
    """The op that made this tensor, None for leaves."""
    return None if self._leaf_flag or not self.requires_grad else _handle(_tape_node(self))


def _output_number(self: Tensor) -> int:
    """Which of its op's outputs this tensor is."""
    node = _tape_node(self)
    return node.attrs.index if node.op is source.project else 0  # type: ignore[attr-defined, no-any-return]


METHODS.update(
    backward=lambda self, gradient=None, retain_graph=None, create_graph=False, inputs=None: backward(self, gradient, retain_graph,
    create_graph, inputs),
    register_hook=register_hook, register_post_accumulate_grad_hook=register_post_accumulate_grad_hook, retain_grad=retain_grad,
    grad_fn=property(grad_fn), output_nr=property(_output_number), retains_grad=property(lambda self: self._retains),
)  # fmt: skip
