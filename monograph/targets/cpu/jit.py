"""From LLVM IR text to the address of machine code: compile to an object (`codegen`), load it; objects are kept on disk.

Objects are loaded by LLJIT with JITLink: it places the sections of an object side by side (no relocation out of range) and reports a
missing symbol as an error where the older loaders end the process. Loaded code stays for the life of the process.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import os
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monograph.targets.cpu import codegen
from monograph.targets.cpu.cache import ObjectCache, sources_fingerprint
from monograph.targets.cpu.codegen import JitError
from monograph.targets.cpu.features import CpuFeatures, cpu_features
from monograph.targets.cpu.resident import give_back
from monograph.targets.llvm.kernels.call import KernelSource

FORMAT = 2
TARGETS_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

IrText = str | Callable[[], str]


class Jit:
    """The compiler of this process (`jit()` gives the one that everybody shares). Safe to call from several threads."""

    def __init__(self, cache: ObjectCache | None = None) -> None:
        self.cache = ObjectCache() if cache is None else cache
        self.compiled = 0
        self.lock = threading.RLock()
        self._addresses: dict[tuple[str, str], int] = {}
        self._kernels: dict[str, int] = {}
        self._serial = itertools.count()
        self._loader: Any = None
        self._touched = False  # whether LLVM has worked since its memory was given back
        self._prefix = b""
        self._structural_prefix = b""
        if hasattr(os, "register_at_fork"):
            # LLVM has one global context: a fork in the middle of a compile would leave the child a locked, half-written one.
            os.register_at_fork(before=self.lock.acquire, after_in_parent=self.lock.release, after_in_child=self.lock.release)

    # ---- public ----
    def compile(self, name: str, ir: IrText, key: str | None = None) -> int:
        """The address of function `name` of the IR text `ir` (text, or a function that writes it when it is needed).

        Without `key` the text itself is the key. With `key`, a string that says everything the text depends on (kernel template, dtypes,
        strides classes, tuning), neither memory nor disk cache needs the text: a warm start emits no IR at all. Edits to the
        emitter's sources are part of such a key by themselves.
        """
        found = None if key is None else self._addresses.get((name, key))
        return found if found is not None else self.compile_many({name: ir}, None if key is None else {name: key})[name]

    def compile_many(self, irs: Mapping[str, IrText], keys: Mapping[str, str] | None = None) -> dict[str, int]:
        """Addresses of several functions, `name -> IR text` (each text defines its name); loading together costs half of one by one."""
        self._start()
        result: dict[str, int] = {}
        missing: dict[str, tuple[str, str, IrText]] = {}
        for name, ir in irs.items():
            key = keys.get(name) if keys else None
            if key is None:
                ir = _text(ir)
                memo = digest = self._digest(self._prefix, name, ir)
            else:
                memo, digest = key, ""
            found = self._addresses.get((name, memo))
            if found is not None:
                result[name] = found
            else:
                missing[name] = memo, digest or self._digest(self._structural_prefix, name, memo), ir
        if missing:
            with self.lock:
                objects = self._objects({name: (digest, ir) for name, (_, digest, ir) in missing.items()})
                for name, address in self._load(objects).items():
                    result[name] = self._addresses[name, missing[name][0]] = address
        return result

    def kernels(self, sources: Mapping[str, KernelSource]) -> Mapping[str, int]:
        """Addresses of kernels, by their names (which say all that their keys say), these ones and earlier ones."""
        known = self._kernels
        missing = {name: kernel for name, kernel in sources.items() if name not in known}
        if missing:
            known.update(self.compile_many({k: v.text for k, v in missing.items()}, {k: repr(v.key) for k, v in missing.items()}))
        return known

    def compile_module(self, names: Sequence[str], ir: str) -> dict[str, int]:
        """Addresses of several functions that one IR text defines, so that they share its globals."""
        self._start()
        with self.lock:
            objects = self._objects({names[0]: (self._digest(self._prefix, ",".join(names), ir), ir)})
            return self._load(objects, names)

    def rest(self) -> None:
        """LLVM will not be needed for a while: gives the memory back that it works in."""
        if self._touched:
            self._touched = False
            give_back(str(codegen.llvm().ffi.lib._name))

    def optimised_ir(self, ir: str) -> str:
        """The IR text after LLVM's optimiser."""
        with self.lock:
            return codegen.borrowed(lambda compiler: str(compiler.module("", ir)))

    def assembly(self, ir: str) -> str:
        """The machine code of the IR text, as assembly."""
        with self.lock:
            return codegen.borrowed(lambda compiler: str(compiler.machine.emit_assembly(compiler.module("", ir))))

    def object_code(self, ir: str) -> bytes:
        """The relocatable object file of the IR text."""
        with self.lock:
            return codegen.borrowed(lambda compiler: compiler.object_code("", ir))

    @property
    def features(self) -> CpuFeatures:
        return cpu_features()

    # ---- inside ----
    def _start(self) -> None:
        """Brings LLVM up, at the first compile."""
        if self._loader is not None:
            return
        with self.lock:
            if self._loader is not None:
                return
            llvm, cpu = codegen.llvm(), cpu_features()
            machine = codegen.borrowed(lambda compiler: (compiler.triple, compiler.layout))
            version = ".".join(str(part) for part in llvm.llvm_version_info)
            common = f"{FORMAT}|{version}|{machine}|{cpu.name}|{cpu.features}|{codegen.RECIPE}|C{codegen.CODEGEN_LEVEL}"
            self._prefix = f"text|{common}|".encode()
            self._structural_prefix = f"key|{common}|{sources_fingerprint(TARGETS_FOLDER)}|".encode()
            self._loader = llvm.create_lljit_compiler(codegen.Compiler().machine, use_jit_link=True, suppress_errors=True)

    def _digest(self, prefix: bytes, name: str, text: str) -> str:
        digest = hashlib.sha256(prefix)
        digest.update(f"{name}|{text}".encode())
        return digest.hexdigest()

    def _objects(self, wanted: Mapping[str, tuple[str, IrText]]) -> dict[str, bytes]:
        """The objects of `name -> (digest, IR)`: from disk, or compiled and kept."""
        objects: dict[str, bytes] = {}
        texts: dict[str, str] = {}
        for name, (digest, ir) in wanted.items():
            found = self.cache.load(digest)
            if found is None:
                texts[name] = _text(ir)
            else:
                objects[name] = found
        if texts:
            made = codegen.object_codes(texts)
            self.compiled += len(made)
            for name, data in made.items():
                self.cache.store(wanted[name][0], data)
            objects |= made
        return objects

    def _load(self, objects: dict[str, bytes], names: Sequence[str] = ()) -> dict[str, int]:
        library = codegen.llvm().JITLibraryBuilder().add_current_process()
        for data in objects.values():
            library.add_object_img(data)
        names = names or list(objects)
        for name in names:
            library.export_symbol(name)
        try:
            tracker = library.link(self._loader, f"kernels{next(self._serial)}")
        except RuntimeError as error:
            needed = {name: self._unresolved(data) for name, data in objects.items()}
            shown = "; ".join(f"{name} calls {', '.join(names)}, which this process has not" for name, names in needed.items() if names)
            raise JitError(f"cannot load the machine code of {', '.join(objects)}: {shown or error}") from None
        addresses = {name: tracker[name] for name in names}
        tracker.detach()  # never unloaded: programs and pool threads hold bare addresses
        self._touched = True
        return addresses

    def _unresolved(self, data: bytes) -> list[str]:
        """Symbols that an object needs and this process lacks."""
        process = ctypes.CDLL(None)
        return [symbol for symbol in undefined_symbols(data) if not hasattr(process, symbol)]


def undefined_symbols(data: bytes) -> list[str]:
    """The symbols that a 64-bit little-endian ELF object expects from elsewhere ([] for other formats)."""
    if data[:6] != b"\x7fELF\x02\x01":
        return []
    table = struct.unpack_from("<Q", data, 40)[0]
    entry, count = struct.unpack_from("<HH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * entry) for i in range(count)]
    found = []
    for _, kind, _, _, offset, size, link, _, _, step in sections:
        if kind == 2:  # SHT_SYMTAB; `link` is its table of names
            names = sections[link][4]
            for at in range(offset + step, offset + size, step):
                name, _, _, section = struct.unpack_from("<IBBH", data, at)
                if section == 0:
                    found.append(data[names + name : data.index(b"\0", names + name)].decode())
    return found


def _text(ir: IrText) -> str:
    return ir if isinstance(ir, str) else ir()


_shared: dict[str, Jit] = {}


def jit() -> Jit:
    """The compiler that everybody in this process shares."""
    found = _shared.get("jit")
    return found if found is not None else _shared.setdefault("jit", Jit())
