"""The walk: one small program, from the user's line to machine code and back. Run it: `python docs/tour.py`.

Each stop shows the real thing, asked of the same functions that run your programs, and names the file to read next. The program is the
smallest one that has everything: a row softmax of a scaled input, the loss on it, and the gradient.
"""

from __future__ import annotations

import numpy as np

import monograph as mg
from monograph.autodiff.vjp import gradients
from monograph.graph.node import Node, topological
from monograph.graph.text import to_text
from monograph.ops import source
from monograph.passes.fuse import fuse
from monograph.passes.graph import extract, quiet
from monograph.passes.pipeline import optimise, pipeline
from monograph.targets import reference
from monograph.targets.cpu.jit import jit
from monograph.targets.cpu.plan import CpuPlan, keeps, kind_of, ready
from monograph.targets.llvm.loop_spec import LoopKernel


def stop(number: int, title: str, where: str) -> None:
    """A heading: which floor of the house we are on."""
    print(f"\n{'=' * 100}\n{number}. {title}   [{where}]\n{'=' * 100}")


def excerpt(text: str, lines: int) -> str:
    """The first lines of a long text."""
    rows = text.rstrip().splitlines()
    return "\n".join(rows[:lines]) + (f"\n... ({len(rows) - lines} more lines)" if len(rows) > lines else "")


# ---------------------------------------------------------------------------------------------------------------------
stop(1, "The user's line", "tensor/")
x = mg.tensor(np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6), requires_grad=True)
scale = mg.tensor(3.0)
y = mg.softmax(x * scale, dim=-1)
loss = (y * y).sum()
print("y = softmax(x * scale, dim=-1); loss = (y * y).sum()")
print(f"Nothing is computed yet: shapes and dtypes are known ({tuple(loss.shape)}, {loss.dtype}), values are not.")

# ---------------------------------------------------------------------------------------------------------------------
stop(2, "The node", "graph/node.py, ops/")
node: Node = loss._node
print("Each op recorded one node: an op record, its inputs, its attributes, its type. The graph of nodes is the program:\n")
leaf = x._leaf
print(to_text([leaf.inputs[0], scale._node], [node], {leaf.inputs[0]: "x", scale._node: "scale"}))
print("What softmax means stands in one record (ops/norm.py): its type rule, its decomposition in simpler ops, its gradient, its samples.")

# ---------------------------------------------------------------------------------------------------------------------
stop(3, "The gradient", "autodiff/vjp.py")
before = len(topological([node]))
(grad,) = gradients([node], [leaf], [source.constant(1.0, node.dtype)])
print(f"backward() asks each record, from the loss to the leaves, for gradient nodes written in the same ops: {before} nodes became ")
print(f"{len(topological([node, grad]))}, and the gradient is one of them, to be fused, saved or differentiated again:\n")
print(to_text([leaf.inputs[0], scale._node], [node, grad], {leaf.inputs[0]: "x", scale._node: "scale"}))

# ---------------------------------------------------------------------------------------------------------------------
stop(4, "The passes", "passes/pipeline.py")
print("The pending graph is cut loose from your tensors and goes through a list of passes:\n")
sources = [leaf.inputs[0], scale._node]
with quiet():
    graph = extract(sources, [], [node, grad])
print(f"  {'extract':<18} {len(graph.nodes()):3} nodes")
graph = optimise(graph, pipeline(keeps), watch=lambda name, g: print(f"  {name:<18} {len(g.nodes()):3} nodes"))
with quiet():
    graph = ready(graph)
names = {graph.sources[0]: "x", graph.sources[1]: "scale"}
print("\nComposites have become primitives, equal work is done once:\n")
print(to_text(list(graph.sources), list(graph.outputs), names))

# ---------------------------------------------------------------------------------------------------------------------
stop(5, "Fusion: units of work", "passes/fuse.py, passes/views.py")
with quiet():
    fusion = fuse(graph, kind_of)
for unit in fusion.units:
    rows = int(np.prod(unit.kept_sizes))
    print(f"  one {unit.kind} kernel over {rows} row(s) of {int(np.prod(unit.sizes)) // rows}: {', '.join(n.op.name for n in unit.nodes)}")

# ---------------------------------------------------------------------------------------------------------------------
stop(6, "Loops", "targets/cpu/loop_lowering.py, targets/llvm/loop_spec.py")
plan = CpuPlan(sources, [], [node, grad])
step = plan.steps[0]
spec = next(part for part in step.key if isinstance(part, LoopKernel))
print("A unit becomes a loop kernel. This is all that its code depends on; sizes, strides and addresses are run-time words:\n")
print(f"  {spec.kept} kept dim, {spec.reduced} reduced dim, vectors along the {spec.vector} dim")
for i, operand in enumerate(spec.operands):
    print(f"  operand {i}: {operand.dtype}, {operand.inner} stride{', written' if operand.written else ''}")
for i, instr in enumerate(spec.instrs):
    arguments = ", ".join([*(f"v{a}" for a in instr.args), *map(str, instr.attrs)])
    print(f"  v{i:<3} = {instr.op}({arguments}) : {instr.dtype}")
print(f"\nThis call has {step.units} units of work, shared out among threads.")

# ---------------------------------------------------------------------------------------------------------------------
stop(7, "LLVM IR", "targets/llvm/loops.py, targets/llvm/vecmath.py")
ir = step.ir()
print("The emitter writes explicit vectors; exp is a polynomial of ours with a stated error bound:\n")
body = ir[ir.index("fcmp") - 400 :] if "fcmp" in ir else ir
print(excerpt(body[body.index("\n") + 1 :], 30))

# ---------------------------------------------------------------------------------------------------------------------
stop(8, "Machine code: the assembly", "targets/cpu/jit.py, targets/cpu/cache.py")
assembly = jit().assembly(ir)
vector_lines = [line for line in assembly.splitlines() if any(m in line for m in ("vfmadd", "vmaxps", "vmulps", "fmla", "fmul"))]
print("LLVM turns it into this processor's instructions; the object file is kept on disk for the next process. Some of the inner loops:\n")
print(excerpt("\n".join(vector_lines), 16))

# ---------------------------------------------------------------------------------------------------------------------
stop(9, "The result", "targets/cpu/plan.py, runtime/program.py, engine/evaluator.py")
print(f"All {len(plan.steps)} steps of the plan run in one native call, temporaries in one arena of {plan.program.arena_bytes} bytes.")
print("Looking at a value starts all of this:")
print(f"\n  loss = {loss.item():.6f}")
loss.backward()
print(f"  x.grad[0] = {x.grad[0].tolist()}")
values = dict(zip(graph.sources, [x.detach().numpy(), scale.numpy()], strict=True))
want_loss, want_grad = reference.run(list(graph.outputs), values)
difference = float(np.abs(x.grad.numpy() - want_grad).max())
print(f"\nThe reference target, plain NumPy, op by op, says {float(want_loss):.6f}; the gradients differ by at most {difference:.1e}.")
assert difference < 1e-6 and abs(float(want_loss) - loss.item()) < 1e-6
