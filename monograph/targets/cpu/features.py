"""What this processor can do: read at run time, passed as data to everything that tunes itself."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import lru_cache

from monograph.runtime.threads import available_cores

KIB, MIB = 1024, 1024 * 1024
DEFAULT_CACHES = {"l1d": 32 * KIB, "l2": 512 * KIB, "l3": 8 * MIB}
SYS_CACHES = "/sys/devices/system/cpu/cpu0/cache"
AVX512_PARTS = ("avx512f", "avx512vl", "avx512bw", "avx512dq")


@dataclass(frozen=True)
class CpuFeatures:
    """The processor as the compiler sees it. Sizes are bytes; `features` is LLVM's feature string ("+avx2,-avx512f,...")."""

    name: str
    features: str
    architecture: str
    vector_bytes: int
    l1d: int
    l2: int
    l3: int
    cores: int

    def has(self, feature: str) -> bool:
        """Whether LLVM's feature `feature` ("avx2", "fma", "neon", "fullfp16"...) is there."""
        return f"+{feature}" in self.features.split(",")

    def lanes(self, element_bytes: int) -> int:
        """How many elements of this size one vector register holds."""
        return max(1, self.vector_bytes // element_bytes)


def vector_bytes_of(architecture: str, present: frozenset[str]) -> int:
    """Widest vector register worth using, from LLVM's feature names (fixed-width vectors only: SVE machines use their NEON side)."""
    if architecture in ("x86_64", "amd64", "i686"):
        if all(part in present for part in AVX512_PARTS):
            return 64
        return 32 if "avx2" in present or "avx" in present else 16
    return 16


def parse_size(text: str) -> int:
    """Bytes of a size as the kernel writes it: "32K", "8M", "512"."""
    text = text.strip().upper()
    scale = {"K": KIB, "M": MIB, "G": 1024 * MIB}.get(text[-1:], 1)
    return int(text if scale == 1 else text[:-1]) * scale


def read_caches(folder: str = SYS_CACHES) -> dict[str, int]:
    """Cache sizes of core 0: `l1d`, `l2`, `l3`; a level that cannot be read gets a common size, a level that is absent the one below."""
    found: dict[str, int] = {}
    try:
        entries = sorted(entry for entry in os.listdir(folder) if entry.startswith("index"))
    except OSError:
        entries = []
    for entry in entries:
        try:
            level, kind, size = (_line(os.path.join(folder, entry, field)) for field in ("level", "type", "size"))
            if kind != "Instruction":
                found["l1d" if level == "1" else f"l{level}"] = parse_size(size)
        except (OSError, ValueError):
            continue
    if not found:
        found = _caches_from_sysconf()
    if not found:
        return dict(DEFAULT_CACHES)
    l1d = found.get("l1d", DEFAULT_CACHES["l1d"])
    l2 = found.get("l2", max(l1d, DEFAULT_CACHES["l2"]))
    return {"l1d": l1d, "l2": l2, "l3": found.get("l3", l2)}


def _line(path: str) -> str:
    with open(path) as file:
        return file.readline().strip()


def _caches_from_sysconf() -> dict[str, int]:
    found = {}
    for level, name in (("l1d", "SC_LEVEL1_DCACHE_SIZE"), ("l2", "SC_LEVEL2_CACHE_SIZE"), ("l3", "SC_LEVEL3_CACHE_SIZE")):
        try:
            size = os.sysconf(name)
        except (ValueError, OSError, AttributeError):
            continue
        if size > 0:
            found[level] = size
    return found


@lru_cache(maxsize=1)
def cpu_features() -> CpuFeatures:
    """The processor of this process (read once)."""
    import llvmlite.binding as llvm  # deferred: `import monograph` stays free of LLVM

    features = llvm.get_host_cpu_features().flatten()
    present = frozenset(part[1:] for part in features.split(",") if part.startswith("+"))
    architecture = platform.machine().lower()
    return CpuFeatures(
        name=llvm.get_host_cpu_name(),
        features=features,
        architecture=architecture,
        vector_bytes=vector_bytes_of(architecture, present),
        cores=available_cores(),
        **read_caches(),
    )
