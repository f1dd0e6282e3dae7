"""Reverse mode: appends gradient nodes to the graph, written in the same ops. The tape *is* the graph of nodes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from monograph.autodiff.accumulation import joined, total_of
from monograph.autodiff.repeating import SEEN, UNWRITABLE, Reading, Score, scores
from monograph.core.errors import AutogradError
from monograph.core.modes import MODES
from monograph.graph.node import IN_PLACE, OVERWRITTEN, Node, provenance, topological
from monograph.graph.op import NotDifferentiable, ViaDecomposition
from monograph.ops import complex_parts, elementwise, source

# Values of `Node.requires_grad`: a node off the tape, on it, or on a tape that a backward pass has already consumed.
OFF, ON, FREED = False, True, 2

# Nodes of gradients of in-place ops: that the op wrote over this input is no error for them, as it is none for the op itself, when they are
# differentiated in turn.
forgiven: weakref.WeakKeyDictionary[Node, Node] = weakref.WeakKeyDictionary()

# Nodes with `hooks`: called in turn with the finished gradient node, each returns it or another (tensor hooks, retain_grad). The hooks are
# held
# by the node, not here, so that a hook that knows its own tensor keeps nothing alive.
hooked: weakref.WeakSet[Node] = weakref.WeakSet()


# What is called with (the gradients passed to the inputs, the gradient of the output) of a node, and may return others for the inputs.
followed: weakref.WeakKeyDictionary[Node, list[Callable[[Any, Any], Any]]] = weakref.WeakKeyDictionary()


# Nodes with `packed`: what their gradients read, as hooks on saved tensors have packed it. See `autodiff.saving`.
saved: weakref.WeakSet[Node] = weakref.WeakSet()


def _unpacked(node: Node) -> tuple[Node, Node]:
    """The node on what unpacking returns in place of the values that were packed, with their history; and its result, likewise."""
    kept, unpack = node.packed
    inputs, result = list(node.inputs), node
    before, MODES.grad = MODES.grad, True
    try:
        for place, value in kept.items():
            old, new = node if place < 0 else node.inputs[place], unpack(value)
            new = source.revalued(old, new) if old.requires_grad else new
            if place < 0:
                result = new
            else:
                inputs[place] = new
    finally:
        MODES.grad = before
    return Node(node.op, tuple(inputs), node.attrs, node.shape, node.dtype, True), result


def hook(node: Node, hooks: list[Callable[[Node], Node]] | None = None) -> list[Callable[[Node], Node]]:
    """The hooks of a node's gradient, to add to; `hooks`: use this list for them."""
    if node not in hooked:
        node.hooks = [] if hooks is None else hooks
        hooked.add(node)
    return node.hooks


def decomposition_vjp(g: Any, y: Node, attrs: Any, *xs: Node) -> list[Node | None]:
    """The gradient of a composite that has none of its own: through its decomposition."""
    before, start = MODES.grad, len(MODES.pending)
    MODES.grad = True
    try:
        decompose = y.op.decompose
        assert decompose is not None  # `define` lets no gradient go via a decomposition that is not there
        outputs = decompose(attrs, *xs)
    finally:
        MODES.grad = before
    if y.marks or forgiven:
        _forgive(y, MODES.pending[start:])
    pairs = [(o, s) for o, s in zip(outputs, g, strict=True) if s is not None] if isinstance(outputs, tuple) else [(outputs, g)]
    found = gradients([o for o, _ in pairs], list(xs), [s for _, s in pairs], partial=True)
    # An input used in two places (f(x, x)) gets its whole gradient once.
    return [grad if x not in xs[:i] else None for i, (x, grad) in enumerate(zip(xs, found, strict=True))]


def _conjugate(g: Any) -> Any:
    return tuple(map(_conjugate, g)) if isinstance(g, tuple) else g if g is None or g.dtype.kind != "c" else complex_parts.conj(g)


def _conjugated(grads: Sequence[Node | None]) -> list[Node | None]:
    return [_conjugate(g) for g in grads]


def pulled(node: Node, g: Any) -> Sequence[Node | None]:
    """What the op's own rule makes of the gradient of its output: one for each input, None for those without."""
    rule, y = node.op.vjp, node
    if saved and node in saved:
        node, y = _unpacked(node)
    if isinstance(rule, ViaDecomposition):
        return decomposition_vjp(g, node, node.attrs, *node.inputs)
    if isinstance(rule, NotDifferentiable):
        raise AutogradError(f"{node.op.name} is not differentiable: {rule.reason}")
    if node.op.holomorphic and node.inputs[0].dtype.kind == "c":
        return _conjugated(rule(_conjugate(g), y, node.attrs, *node.inputs))
    return rule(g, y, node.attrs, *node.inputs)


def gradients(
    outputs: Sequence[Node],
    inputs: Sequence[Node],
    seeds: Sequence[Node],
    *,
    partial: bool = False,
    frozen: bool = False,
    on_leaf: Callable[[Node, Node], None] | None = None,
    check: Callable[[Node, Sequence[Node | None]], None] | None = None,
) -> list[Node | None]:
    """Gradient nodes of sum(outputs * seeds) with respect to `inputs` (None where there is no path).

    Only nodes with `requires_grad` are on the tape. `partial`: treat the inputs as independent, though one may depend on another.
    `frozen`: mark what was passed as consumed (torch's retain_graph=False).
    `on_leaf(leaf_node, gradient)` is told of every leaf that is reached, `check(node, gradients)` of what each node passes to its inputs.
    Whether the gradient nodes are themselves on the tape is decided by
    the grad mode of the caller. Raises AutogradError on a consumed tape or an overwritten value.
    """
    wanted = {id(n) for n in inputs}
    order = topological([o for o in outputs if o.requires_grad], stop=lambda n: not n.requires_grad or (partial and id(n) in wanted))
    reading = None
    if not partial and check is None and _unwatched(order):
        reading = Reading(order, outputs, inputs, seeds, (frozen, on_leaf is not None))
        score = scores.get(reading.key) if reading.plain else UNWRITABLE
        if type(score) is Score:
            if not (reading.doubtful and any(is_overwritten(reading.given[i]) for i in score.read)):
                scores.played += 1
                return score.play(reading.given, on_leaf)
            reading = None
        elif score is not SEEN:
            if score is None:
                scores.first(reading.key)
            reading = None
    found: dict[int, Any] = {}
    for output, seed in zip(outputs, seeds, strict=True):
        _accumulate(found, output, seed)
    now = MODES.now
    pending, before = now.pending, len(now.pending)
    leaves: list[tuple[Node, Node]] = []
    reads_saved: set[int] = set()
    visited: list[Node] = []
    live = _on_path(order, wanted, on_leaf is not None)
    for node in reversed(order):
        if not node.requires_grad or id(node) not in live:
            continue
        g = total_of(found.get(id(node)))
        if g is None:
            continue
        found[id(node)] = g
        if hooked and node in hooked:
            for call in list(node.hooks):
                g = call(g)
            found[id(node)] = g
        op = node.op
        if partial and id(node) in wanted:
            continue
        if op is source.leaf:
            if on_leaf is not None:
                leaves.append((node, g))
                on_leaf(node, g)
            continue
        if not node.inputs and node.requires_grad != FREED:
            continue
        if node.requires_grad == FREED:
            raise AutogradError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
                "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True "
                "if you "
                "need to backward through the graph a second time or if you need to access saved tensors after calling backward."
            )
        visited.append(node)
        if op is source.project:
            _accumulate_output(found, node.inputs[0], node.attrs.index, g)  # type: ignore[attr-defined]
            continue
        start = len(now.pending)
        grads = pulled(node, g)
        # What a user's backward read is the user's affair, as in PyTorch; `saved_tensors` has looked after what was saved.
        reads = bool(saved) and node in saved
        reads = reads or (_check_saved(node, now.pending[start:]) if node.owner is None else node.owner.saves)
        if reads:
            reads_saved.add(id(node))
        if check is not None:
            check(node, grads)
        if followed and node in followed:
            for after in list(followed[node]):
                grads = after(grads, g)
        for x, gx in zip(node.inputs, grads, strict=True):
            if gx is not None and x.requires_grad:
                _accumulate(found, x, gx)
    if frozen:
        _free(visited, reads_saved)
    results = [total_of(found.get(id(n))) for n in inputs]
    if reading is not None and pending is now.pending:
        scores.keep(reading, pending[before:], leaves, results)
    return results


def _unwatched(order: list[Node]) -> bool:
    """Whether nobody wants to hear of a backward pass, or to differentiate it in turn."""
    now = MODES.now
    return not (now.grad or now.lines or any(watched and any(n in watched for n in order) for watched in (hooked, followed, saved)))


def _on_path(order: list[Node], wanted: set[int], leaves: bool) -> set[int]:
    """Nodes through which a wanted input (or, for backward, any leaf) is reached: no gradient is computed for the others."""
    live: set[int] = set()
    for node in order:
        reached = node.op is source.leaf or node in hooked or node in followed or (node.requires_grad == FREED and not node.inputs)
        if id(node) in wanted or (leaves and reached) or any(id(i) in live for i in node.inputs):
            live.add(id(node))
    return live


def _accumulate(found: dict[int, Any], node: Node, g: Any) -> None:
    before = found.get(id(node))
    found[id(node)] = g if before is None else joined(before, g)


def _accumulate_output(found: dict[int, Any], node: Node, index: int, g: Node) -> None:
    """Collects the gradient of one output of a node with several."""
    parts = found.setdefault(id(node), (None,) * len(node.outputs))
    merged = g if parts[index] is None else elementwise.add(parts[index], g)
    found[id(node)] = (*parts[:index], merged, *parts[index + 1 :])


def _check_saved(node: Node, made: Sequence[Node]) -> bool:
    """Whether the gradient nodes read the op's own inputs or output; an error if such a value was overwritten in place."""
    own = {id(node), *(id(i) for i in node.inputs)}
    read = [i for n in made for i in n.inputs if id(i) in own or (i.op is source.project and i.inputs and id(i.inputs[0]) in own)]
    if not read:
        return False
    own_input = _forgive(node, made) if node.marks or forgiven else None
    for x in read:
        if is_overwritten(x) and x is not own_input:
            where = provenance(node)
            raise AutogradError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"{x.dtype.name}{list(x.shape)}, which the gradient of {node.op.name}{' at ' + where if where else ''} needs as it "
                "was. Use the out-of-place form (x = x + 1 instead of x += 1), or clone() the value before changing it. "
                "Hint: enable anomaly detection with autograd.set_detect_anomaly(True) to see the line of the forward op."
            )
    return True


def _forgive(node: Node, made: Sequence[Node]) -> Node | None:
    """The input that an in-place op, or a gradient of one, may read though the op wrote over it; what is `made` of the node may too."""
    own_input = node.inputs[0] if node.marks & IN_PLACE else forgiven.get(node)
    if own_input is not None:
        forgiven.update((n, own_input) for n in made if own_input in n.inputs)
    return own_input


def is_overwritten(x: Node) -> bool:
    """Whether the memory of a saved value was written since: its own, or that of the tensor it is a view of."""
    while True:
        if x.marks & OVERWRITTEN:
            return True
        if not x.inputs or not (x.op.is_view or x.op is source.leaf):
            return False
        if x.op.name == "reshape" and x.inputs[0].op.name == "permute":
            return False  # that reshape is a copy
        x = x.inputs[0]


def _free(visited: list[Node], reads_saved: set[int]) -> None:
    """Marks as consumed every node from which a consumed saved value would be reached again."""
    consumed: set[int] = set()
    for node in reversed(visited):
        if id(node) in reads_saved or any(id(i) in consumed or i.requires_grad == FREED for i in node.inputs):
            consumed.add(id(node))
            node.requires_grad = FREED  # type: ignore[assignment]
            if node.dtype is None:
                node.owner = None  # of a custom function: what it saved
