"""The public face of autograd: backward, grad, hooks, grad_fn, custom Functions."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from monograph.autodiff import vjp
from monograph.core.attrs import Attrs, attrs
from monograph.core.errors import AutogradError
from monograph.core.modes import MODES
from monograph.graph.node import Node, record
from monograph.graph.op import Family, Trait, define
from monograph.ops import source
from monograph.tensor import dispatch
from monograph.tensor.core import Tensor, node_of, wrap
from monograph.tensor.dispatch import read
from monograph.tensor.pointwise import METHODS


def _seed(t: Tensor, gradient: Tensor | None) -> Node:
    node = node_of(t)
    if gradient is None:
        if node.numel != 1:
            raise RuntimeError(f"grad can be implicitly created only for scalar outputs; this one has shape {list(node.shape)}: reduce it first, or pass gradient=")
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
            raise AutogradError("element 0 of tensors does not require grad and does not have a grad_fn. Was it computed under no_grad(), or detached?")


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None) -> None:
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


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None, is_grads_batched: bool = False, materialize_grads: bool = False) -> tuple[Tensor | None, ...]:
    """The gradients of sum(outputs) with respect to inputs, as a tuple; .grad is not touched. With create_graph they are differentiable again.

    >>> import monograph as mg
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> (g,) = mg.autograd.grad(x**3, x, create_graph=True)
    >>> mg.autograd.grad(g, x)[0].item()
    18.0
    """
    out, into = _tensors(outputs), _tensors(inputs)
    given = [None] * len(out) if grad_outputs is None else _tensors(grad_outputs) if not isinstance(grad_outputs, list | tuple) else list(grad_outputs)
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
        found = vjp.gradients(roots, wanted, seeds, frozen=not keep)
    finally:
        MODES.grad = before
    result: list[Tensor | None] = []
    for t, g in zip(into, found, strict=True):
        if g is None and materialize_grads:
            g = source.zeros_like(node_of(t))
        if g is None and not allow_unused:
            raise AutogradError("One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior.")
        result.append(None if g is None else wrap(g))
    return tuple(result)


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


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Calls `hook(grad)` when this tensor's gradient is computed; what it returns replaces the gradient."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")

    def on_node(g: Node) -> Node | None:
        changed = hook(wrap(g))
        if changed is None:
            return None
        if not isinstance(changed, Tensor):
            raise TypeError(f"a tensor hook returns a Tensor or None, got {type(changed).__name__}")
        return node_of(changed)

    node = _tape_node(self)
    hooks = vjp.gradient_hooks.setdefault(node, [])
    hooks.append(on_node)
    if self._leaf_flag:
        self.__dict__.setdefault("_leaf_hooks", hooks)
    return RemovableHandle(hooks, on_node)


def retain_grad(self: Tensor) -> None:
    """Keeps the gradient of a tensor that is no leaf in its `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self._leaf_flag or self._retains:
        return
    self._retains = True
    me = weakref.ref(self)

    def keep(g: Node) -> None:
        tensor = me()
        if tensor is not None:
            tensor._grad = wrap(g) if tensor._grad is None else tensor._grad + wrap(g)  # type: ignore[operator]

    vjp.gradient_hooks.setdefault(_tape_node(self), []).append(keep)


class GradFn:
    """A readable handle on the op that made a tensor: `name()`, `next_functions`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def name(self) -> str:
        """torch's style of name: MulBackward0."""
        return "".join(p.capitalize() for p in self._node.op.name.split("_")) + "Backward0"

    @property
    def next_functions(self) -> tuple[tuple[GradFn | AccumulateGrad, int], ...]:
        """The handles of the op's differentiable inputs."""
        return tuple((AccumulateGrad(i) if i.op is source.leaf else GradFn(i), 0) for i in self._node.inputs if i.requires_grad)

    def __repr__(self) -> str:
        return f"<{self.name}>"


class AccumulateGrad:
    """The end of the chain: the leaf `variable` whose .grad collects."""

    def __init__(self, node: Node) -> None:
        self.variable = node.owner()

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


def grad_fn(self: Tensor) -> GradFn | None:
    """The op that made this tensor, None for leaves."""
    return None if self._leaf_flag or not self.requires_grad else GradFn(_tape_node(self))


# ---- custom Functions ----


class Context:
    """What forward leaves for backward: `save_for_backward`, and any attribute."""

    def __init__(self) -> None:
        self._saved: tuple[Any, ...] = ()
        self._versions: list[tuple[Tensor, int]] = []
        self.needs_input_grad: tuple[bool, ...] = ()
        self._not_differentiable: list[Tensor] = []
        self._dirty: list[Tensor] = []
        self.materialize_grads = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors for backward; overwriting one of them before is an error then."""
        self._saved = tensors
        self._versions = [(t, t._version) for t in tensors if isinstance(t, Tensor)]

    save_for_forward = save_for_backward

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What save_for_backward was given."""
        for t, version in self._versions:
            if t._version != version:
                raise AutogradError(
                    f"one of the variables needed for gradient computation has been modified by an inplace operation: a saved tensor of shape "
                    f"{list(t.shape)} is at version {t._version}; expected version {version} instead."
                )
        return self._saved

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Says that outputs have no gradient."""
        self._not_differentiable = list(tensors)

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Says that forward changed inputs in place."""
        self._dirty = list(tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing gradients arrive as zeros (the default) or None."""
        self.materialize_grads = value


@attrs
class CustomAttrs(Attrs):
    """The user's backward and where the differentiable inputs stand."""

    backward: Any
    outputs: int


def _custom_infer(a: CustomAttrs, *xs: Node) -> Any:
    return tuple((x.shape, x.dtype) for x in xs[: a.outputs]), None


def _custom_vjp(g: Any, y: Node, a: CustomAttrs, *xs: Node) -> list[Node | None]:
    return [None] * a.outputs + a.backward(g, y)


custom = define(
    "custom_function", family=Family.SOURCE, attrs=CustomAttrs, infer=_custom_infer, reference=lambda a, *xs: xs[: a.outputs], vjp=_custom_vjp,
    samples=lambda: (), traits=[Trait.ALIAS],
)  # fmt: skip
custom.doc = "The outputs of a user's autograd.Function, tied to its inputs: values pass through, gradients go to its backward."


class Function:
    """A differentiable function with its own backward, as torch.autograd.Function: subclass, give static `forward(ctx, ...)` and
    `backward(ctx, *grads)`, call `apply`. `setup_context(ctx, inputs, output)` with a ctx-free forward works too.
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes the outputs. Overridden."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Returns one gradient (or None) per input of forward. Overridden."""
        raise NotImplementedError("You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD.")

    vjp = None

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs forward and ties backward into the graph."""
        ctx = Context()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        tensors = [a for a in args if isinstance(a, Tensor)]
        with_grad, MODES.grad = MODES.grad, False
        try:
            if "setup_context" in cls.__dict__ or any("setup_context" in k.__dict__ for k in cls.__mro__[:-2]):
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)  # type: ignore[attr-defined]
            else:
                result = cls.forward(ctx, *args, **kwargs)
        finally:
            MODES.grad = with_grad
        if not (with_grad and any(ctx.needs_input_grad)):
            return result
        outputs = [result] if isinstance(result, Tensor) else list(result)
        places = [i for i, o in enumerate(outputs) if isinstance(o, Tensor) and o.dtype.kind in "fc" and not any(o is n for n in ctx._not_differentiable)]
        if not places:
            return result
        taped = [read(t) for t in tensors]
        plain = [node_of(outputs[i]) for i in places]

        def run_backward(g: tuple[Node | None, ...], y: Node) -> list[Node | None]:
            grads: list[Any] = [None] * len(outputs)
            for place, node, like in zip(places, g, plain, strict=True):
                grads[place] = wrap(node) if node is not None else (wrap(source.zeros_like(like)) if ctx.materialize_grads else None)
            back = (cls.vjp or cls.backward)(ctx, *grads)
            back = (back,) if isinstance(back, Tensor) or back is None else tuple(back)
            if len(back) < len(args) or any(b is not None for b in back[len(args) :]):
                raise AutogradError(f"function {cls.__name__}Backward returned an incorrect number of gradients (expected {len(args)}, got {len(back)})")
            result: list[Node | None] = []
            for a, b in zip(args, back, strict=False):
                if isinstance(a, Tensor):
                    result.append(None if b is None else node_of(b))
            return result

        detached = [record(source.detach, (n,)) if n.requires_grad else n for n in plain]
        node = record(custom, (*detached, *taped), CustomAttrs(run_backward, len(plain)))
        wrapped = {place: source.project(node, index=k) for k, place in enumerate(places)}
        final = []
        for i, o in enumerate(outputs):
            if i not in wrapped:
                final.append(o)
            elif any(o is d for d in ctx._dirty):
                final.append(o._write(wrapped[i]))
            else:
                final.append(wrap(wrapped[i]))
        return final[0] if isinstance(result, Tensor) else type(result)(final)


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a backward that records no graph of its own."""

    def wrapped(ctx: Any, *grads: Any) -> Any:
        before, MODES.grad = MODES.grad, False
        try:
            return function(ctx, *grads)
        finally:
            MODES.grad = before

    return wrapped


METHODS.update(
    backward=lambda self, gradient=None, retain_graph=None, create_graph=False, inputs=None: backward(self, gradient, retain_graph, create_graph, inputs),
    register_hook=register_hook, retain_grad=retain_grad, grad_fn=property(grad_fn), retains_grad=property(lambda self: self._retains),
)  # fmt: skip
