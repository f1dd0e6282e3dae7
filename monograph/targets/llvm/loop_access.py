"""Reading and writing lanes of a strided array: logical types in expressions, storage types in memory."""

from __future__ import annotations

from monograph.targets.llvm.convert import VALUE_TYPES, from_memory, to_memory
from monograph.targets.llvm.ir import STREAMED, Fn, Val, element, lanes, size_of, vector

MEMORY_TYPES = {**VALUE_TYPES, "bool": "i8"}
SMALLEST_STREAMED, STREAM_ALIGNMENT = 16, 32  # bytes: of a register that can be stored past the caches; of what such stores ask for
MOVED_AS = {"half": "i16", "bfloat": "i16"}  # processors that lack these types would convert them at every move


def load_lanes(f: Fn, ptr: Val, dtype: str, n: int, stride: Val | None) -> Val:
    """n lanes from `ptr` on; `stride` in bytes, None when the elements are adjacent."""
    held = MOVED_AS.get(MEMORY_TYPES[dtype], MEMORY_TYPES[dtype])
    if n == 1 or stride is None:
        x = f.load(vector(held, n), ptr, size_of(held))
    else:
        x = join(f, [f.load(held, f.gep(ptr, 0 if k == 0 else f.mul(stride, k))) for k in range(n)])
    return from_memory(f, f.cast("bitcast", x, vector(MEMORY_TYPES[dtype], n)), dtype)


def load_each(f: Fn, addresses: list[Val], dtype: str) -> Val:
    """One lane from each address."""
    held = MOVED_AS.get(MEMORY_TYPES[dtype], MEMORY_TYPES[dtype])
    x = join(f, [f.load(held, p) for p in addresses])
    return from_memory(f, f.cast("bitcast", x, vector(MEMORY_TYPES[dtype], len(addresses))), dtype)


def store_lanes(f: Fn, x: Val, ptr: Val, dtype: str, stride: Val | None, stream: bool = False) -> None:
    """Writes the lanes of x from `ptr` on; `stride` in bytes, None when the elements are adjacent. With `stream` past the caches where
    they make a whole register: `ptr` is aligned to one then."""
    n = lanes(x.ty)
    held = MOVED_AS.get(MEMORY_TYPES[dtype], MEMORY_TYPES[dtype])
    x = f.cast("bitcast", to_memory(f, x, dtype), vector(held, n))
    if n == 1 or stride is None:
        streamed = stream and n * size_of(held) >= SMALLEST_STREAMED
        f.store(x, ptr, min(n * size_of(held), STREAM_ALIGNMENT) if streamed else size_of(held), STREAMED if streamed else "")
        return
    for k in range(n):
        f.store(f.extract(x, k), f.gep(ptr, 0 if k == 0 else f.mul(stride, k)))


def join(f: Fn, parts: list[Val]) -> Val:
    """A vector of scalars (one scalar stays a scalar)."""
    if len(parts) == 1:
        return parts[0]
    ty = vector(parts[0].ty, len(parts))
    joined = Val("poison", ty)
    for k, part in enumerate(parts):
        joined = f.insert(joined, part, k)
    return joined


def spread(f: Fn, x: Val, n: int) -> Val:
    """A scalar in every one of n lanes."""
    if x.ty not in MOVED_AS or n == 1 or x[0] != "%":
        return f.splat(x, n)
    return f.cast("bitcast", f.splat(f.cast("bitcast", x, MOVED_AS[x.ty]), n), vector(x.ty, n))


def lane(f: Fn, x: Val, k: int) -> Val:
    """One lane of a vector (a scalar is its only lane)."""
    if lanes(x.ty) == 1:
        return x
    held = MOVED_AS.get(element(x.ty))
    if held is None:
        return f.extract(x, k)
    return f.cast("bitcast", f.extract(f.cast("bitcast", x, vector(held, lanes(x.ty))), k), element(x.ty))
