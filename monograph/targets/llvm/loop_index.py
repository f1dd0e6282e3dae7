"""Indexed access inside loop kernels: gather, scatter, and the check of their indices; the check of integer divisors.

address = base + sum(stride_d * i_d) + sum(extra_stride_k * index_k). Negative indices count from the end; an index out of range is
reported in the error words and replaced by 0. Where the indices do not change along the vector axis, the address is computed once,
before the vector loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monograph.targets.llvm.ir import Fn, Val, const, lanes
from monograph.targets.llvm.loop_access import MEMORY_TYPES, lane, load_each, load_lanes, store_lanes
from monograph.targets.llvm.scalar import emit_scalar

if TYPE_CHECKING:
    from monograph.targets.llvm.loop_body import KernelWriter, Site
    from monograph.targets.llvm.loop_spec import LoopKernel


ZERO_DIVISOR = -1  # the code of an integer divided by zero


def indices_of(spec: LoopKernel, v: int) -> tuple[int, ...]:
    """The values that a gather or scatter uses as indices."""
    return spec.instrs[v].args if spec.instrs[v].op == "gather" else spec.instrs[v].args[1:]


def checked(f: Fn, error: Val, ordinal: int, index: Val, size: Val) -> Val:
    """The index (any lanes), wrapped if negative; out of range: reported and replaced by 0."""
    n = lanes(index.ty)
    sizes = f.splat(size, n)
    wrapped = f.select(f.icmp("slt", index, 0), f.add(index, sizes), index)
    bad = f.icmp("uge", wrapped, sizes)

    def report() -> None:
        value = lane(f, index, n - 1)
        for k in reversed(range(n - 1)):
            value = f.select(f.extract(bad, k), f.extract(index, k), value)
        swapped = f.emit("{ i64, i1 }", f"cmpxchg ptr {error}, i64 0, i64 {ordinal + 1} monotonic monotonic, align 8")
        first = f.emit("i1", f"extractvalue {{ i64, i1 }} {swapped}, 1")
        f.if_(first, lambda: f.store(value, f.gep(error, 1, "i64")))

    f.if_(_any_lane(f, bad), report)
    return f.select(bad, const(0, wrapped.ty), wrapped)


def _any_lane(f: Fn, mask: Val) -> Val:
    n = lanes(mask.ty)
    return mask if n == 1 else f.icmp("ne", f.cast("bitcast", mask, f"i{n}"), 0)


def refuse_zeros(w: KernelWriter, x: Val) -> Val:
    """x; a zero in it is reported."""
    f = w.f

    def report() -> None:
        f.emit("{ i64, i1 }", f"cmpxchg ptr {_error(w)}, i64 0, i64 {ZERO_DIVISOR} monotonic monotonic, align 8")

    f.if_(_any_lane(f, f.icmp("eq", x, 0)), report)
    return x


def known_address(w: KernelWriter, site: Site, v: int) -> Val:
    """The base address of an access whose indices are scalars known at this site."""
    f, o = w.f, w.spec.instrs[v].attrs[0]
    address = (site if w.plan.full[v] else w.unit).pointer[o]
    for a, (stride, size) in zip(indices_of(w.spec, v), w.extra[o], strict=True):
        index = checked(f, _error(w), w.ordinals[v], w.get(site, {}, a, None, 1), size)
        address = f.gep(address, f.mul(index, stride))
    return address


def _error(w: KernelWriter) -> Val:
    assert w.error is not None
    return w.error


def _addresses(w: KernelWriter, site: Site, env: dict[int, Val], v: int, i: Val | None, n: int) -> list[Val]:
    """The address of each lane."""
    f, o = w.f, w.spec.instrs[v].attrs[0]
    base, lane_stride = w.place(site, v, i)
    if lane_stride is None:
        addresses = [f.gep(base, k, MEMORY_TYPES[w.spec.operands[o].dtype]) for k in range(n)]
    else:
        addresses = [base if lane_stride == "0" or k == 0 else f.gep(base, f.mul(lane_stride, k)) for k in range(n)]
    for a, (stride, size) in zip(indices_of(w.spec, v), w.extra[o], strict=True):
        index = checked(f, _error(w), w.ordinals[v], w.get(site, env, a, i, n), size)
        for k in range(n):
            addresses[k] = f.gep(addresses[k], f.mul(lane(f, index, k), stride))
    return addresses


def gather(w: KernelWriter, site: Site, env: dict[int, Val], v: int, i: Val | None, n: int) -> Val:
    """The gathered values, in n lanes."""
    f, dtype = w.f, w.spec.instrs[v].dtype
    if v in site.targets:
        ptr, stride = w.place(site, v, i, site.targets[v])
        return w.load_at(ptr, stride, dtype, n)
    return load_each(f, _addresses(w, site, env, v, i, n), dtype)


def scatter(w: KernelWriter, site: Site, env: dict[int, Val], v: int, i: Val | None, n: int) -> None:
    """Writes (scatter) or adds (scatter_add) n lanes, the first lane first."""
    f, instr = w.f, w.spec.instrs[v]
    dtype = w.spec.instrs[instr.args[0]].dtype
    x = w.get(site, env, instr.args[0], i, n)
    if v in site.targets:
        ptr, stride = w.place(site, v, i, site.targets[v])
        if stride is None:
            _put(w, instr.op, dtype, x, ptr)
            return
        addresses = [ptr if stride == "0" or k == 0 else f.gep(ptr, f.mul(stride, k)) for k in range(n)]
    else:
        addresses = _addresses(w, site, env, v, i, n)
    for k, address in enumerate(addresses):
        _put(w, instr.op, dtype, lane(f, x, k), address)


def _put(w: KernelWriter, op: str, dtype: str, x: Val, ptr: Val) -> None:
    if op == "scatter_add":
        held = load_lanes(w.f, ptr, dtype, lanes(x.ty), None)
        x = emit_scalar(w.f, "add", (), dtype, [held, x], (dtype, dtype))
    store_lanes(w.f, x, ptr, dtype, None)
