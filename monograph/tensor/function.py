"""Differentiable functions with a backward of their own: torch.autograd.Function."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from monograph.core.attrs import Attrs, attrs
from monograph.core.errors import AutogradError
from monograph.core.modes import MODES
from monograph.graph.node import Node, record
from monograph.graph.op import Family, Trait, define
from monograph.ops import source
from monograph.tensor.core import Tensor, node_of, wrap
from monograph.tensor.dispatch import read


class Saving(threading.local):
    """The hooks on saved tensors that are on in this thread, see `autograd.graph.saved_tensors_hooks`."""

    def __init__(self) -> None:
        self.hooks: list[tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]] = []


SAVING = Saving()


class Context:
    """What forward leaves for backward: `save_for_backward`, and any attribute."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self.materialize_grads = True
        self._saved: tuple[Any, ...] = ()
        self._unpack: Callable[[Any], Tensor] | None = None
        self._versions: list[tuple[Tensor, int]] = []
        self._not_differentiable: tuple[Tensor, ...] = ()
        self._dirty: tuple[Tensor, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors for backward; overwriting one of them before is an error then."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type {type(t).__name__}; keep it as an attribute of ctx"
                )
        self._saved = tensors
        if SAVING.hooks:
            pack, self._unpack = SAVING.hooks[-1]
            self._saved = tuple(None if t is None else pack(t) for t in tensors)
        self._note_versions()

    save_for_forward = save_for_backward

    def _note_versions(self) -> None:
        self._versions = [] if self._unpack is not None else [(t, t._version) for t in self._saved if t is not None]

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What save_for_backward was given."""
        for t, version in self._versions:
            if t._version != version:
                raise AutogradError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: a saved tensor of "
                    "shape "
                    f"{list(t.shape)} is at version {t._version}; expected version {version} instead."
                )
        if self._unpack is not None:
            return tuple(None if packed is None else self._unpack(packed) for packed in self._saved)
        return self._saved

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Says that outputs have no gradient."""
        self._not_differentiable = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Says that forward changed inputs in place."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing gradients arrive as zeros (the default) or None."""
        self.materialize_grads = value


@attrs
class CustomAttrs(Attrs):
    """How many of the inputs are the outputs."""

    outputs: int


def _custom_infer(a: CustomAttrs, *xs: Node) -> Any:
    return tuple((x.shape, x.dtype) for x in xs[: a.outputs]), None


def _custom_vjp(g: Any, y: Node, a: CustomAttrs, *xs: Node) -> list[Node | None]:
    if y.owner is None:
        raise AutogradError("the backward of a custom Function was asked for in a copy of its graph: differentiate the function itself")
    return [None] * a.outputs + y.owner(g)


custom = define(
    "custom_function", family=Family.SOURCE, attrs=CustomAttrs, infer=_custom_infer, reference=lambda a, *xs: xs[: a.outputs],
    vjp=_custom_vjp,
    samples=lambda: (), traits=[Trait.ALIAS],
    doc="The outputs of a user's autograd.Function, tied to its inputs: values pass through, gradients go to its backward (the node's "
        "owner).",
)  # fmt: skip


class _Backward:
    """The user's backward between nodes. Held by the node; let go when a backward pass has consumed it."""

    def __init__(
        self, function: type[Function], ctx: Context, args: tuple[Any, ...], places: list[int], count: int, like: list[Node]
    ) -> None:
        self.function, self.ctx, self.places, self.count = function, ctx, places, count
        self.name = function.__name__ + "Backward"
        self.saves = bool(ctx._saved)
        self.is_tensor = [isinstance(a, Tensor) for a in args]
        self.types = [(n.shape, n.dtype) for n in like]

    @property
    def push(self) -> Any:
        """Forward mode by the user's jvp: tangents of the node's inputs to tangents of its outputs. None if there is none."""
        return None if self.function.jvp is None else self._push

    def _push(self, tangents: list[Node | None]) -> tuple[Node | None, ...]:
        own = iter(tangents[len(self.places) :])
        given = [next(own) if is_tensor else None for is_tensor in self.is_tensor]
        moved = self.function.jvp(self.ctx, *[None if t is None else wrap(t) for t in given])
        parts = (moved,) if isinstance(moved, Tensor) or moved is None else tuple(moved)
        return tuple(None if parts[place] is None else node_of(parts[place]) for place in self.places)

    def __call__(self, g: tuple[Node | None, ...]) -> list[Node | None]:
        grads: list[Any] = [None] * self.count
        for place, node, (shape, dtype) in zip(self.places, g, self.types, strict=True):
            if node is not None:
                grads[place] = wrap(node)
            elif self.ctx.materialize_grads:
                grads[place] = wrap(source.constant(0, dtype, shape))
        back = (self.function.vjp or self.function.backward)(self.ctx, *grads)
        back = (back,) if isinstance(back, Tensor) or back is None else tuple(back)
        wanted = len(self.is_tensor)
        if len(back) < wanted or any(b is not None for b in back[wanted:]):
            raise AutogradError(
                f"function {self.name} returned an incorrect number of gradients (expected {wanted}, got {len(back)}): one per argument "
                "of forward, "
                "None for those without"
            )
        return [None if b is None else node_of(b) for b, is_tensor in zip(back, self.is_tensor, strict=False) if is_tensor]


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
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD."
        )

    vjp: Any = None
    jvp: Any = None
    setup_context: Any = None
    generate_vmap_rule = False

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """The function of a batch: (outputs, their batch dimensions), called by `func.vmap` when it is overridden, else forward is batched
        by rules. `info` has `batch_size` and `randomness`; `in_dims` names the batch dimension of each argument, None for one without.
        """
        raise NotImplementedError("To use autograd.Function with vmap, you must either override the vmap staticmethod or not have one")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs forward and ties backward into the graph."""
        tensors = [a for a in args if isinstance(a, Tensor)]
        needs = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        ctx = Context(needs)
        taped = [read(t) for t in tensors]  # before forward, which may write to them
        mapped = cls._mapped(args) if cls.vmap is not Function.vmap else None
        if mapped is not None and not mapped[1]:
            return mapped[0]
        with_grad, MODES.grad = MODES.grad, False
        try:
            if mapped is not None:
                result = mapped[0]
                cls.setup_context(ctx, args, result)
            elif cls.setup_context is not None:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args, **kwargs)
        finally:
            MODES.grad = with_grad
        if not (with_grad and any(needs)):
            return result
        outputs = [result] if isinstance(result, Tensor) else list(result)
        places = [
            i
            for i, o in enumerate(outputs)
            if isinstance(o, Tensor) and o.dtype.kind in "fc" and not any(o is n for n in ctx._not_differentiable)
        ]
        if not places:
            return result
        plain = [node_of(outputs[i]) for i in places]
        detached = [record(source.detach, (n,)) if n.requires_grad else n for n in plain]
        node = record(custom, (*detached, *taped), CustomAttrs(len(plain)))
        node.owner = _Backward(cls, ctx, args, places, len(outputs), plain)
        for k, place in enumerate(places):
            outputs[place] = _tie(outputs[place], source.project(node, index=k), tensors, ctx)
        ctx._note_versions()
        if isinstance(result, Tensor):
            return outputs[0]
        return type(result)(outputs) if isinstance(result, list | tuple) and not hasattr(result, "_fields") else type(result)(*outputs)


    @classmethod
    def _mapped(cls, args: tuple[Any, ...]) -> tuple[Any, bool] | None:
        """Inside `func.vmap`: what `vmap` gives for all examples, as one example's, and whether a gradient is being taken in there, too."""
        map_call = getattr(MODES.capture, "map_call", None)
        if map_call is not None and cls.generate_vmap_rule:
            raise RuntimeError(
                f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an overridden vmap staticmethod. "
                "Please set generate_vmap_rule=False or delete the overridden vmap staticmethod to avoid ambiguity."
            )
        return None if map_call is None else map_call(cls, args)


def _tie(output: Tensor, node: Node, inputs: list[Tensor], ctx: Context) -> Tensor:
    """The output as part of the graph: the same handle, so that a saved output is differentiable in backward, where nobody else knew it."""
    if any(output is d for d in ctx._dirty):
        return output._write(node)
    if output._base is not None or output._leaf_flag or output._shared is not None or any(output is i for i in inputs):
        return wrap(node)
    output._node = node
    return output


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a backward that records no graph of its own."""

    @wraps(function)
    def wrapped(ctx: Any, *grads: Any) -> Any:
        before, MODES.grad = MODES.grad, False
        try:
            return function(ctx, *grads)
        finally:
            MODES.grad = before

    return wrapped
