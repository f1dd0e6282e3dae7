"""From LLVM IR text to the address of machine code: parse, verify, optimise, emit an object, load it; objects are kept on disk.

The IR is explicitly vectorised, so LLVM's own loop and SLP vectorisers, unrolling and interleaving stay off. Objects are loaded by
LLJIT with JITLink: it places the sections of an object side by side (no relocation out of range) and reports a missing symbol as an
error where the older loaders end the process. Loaded code stays for the life of the process.
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

from monograph.core.errors import MonographError
from monograph.targets.cpu.cache import ObjectCache, sources_fingerprint
from monograph.targets.cpu.features import CpuFeatures, cpu_features

FORMAT = 1
SPEED_LEVEL = 2
CODEGEN_LEVEL = 2
TARGETS_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

IrText = str | Callable[[], str]


class JitError(MonographError):
    """LLVM refuses IR text, or machine code refers to a symbol that is not in this process."""


class Jit:
    """The compiler of this process (`jit()` gives the one that everybody shares). Safe to call from several threads."""

    def __init__(self, cache: ObjectCache | None = None) -> None:
        self.cache = ObjectCache() if cache is None else cache
        self.compiled = 0
        self.lock = threading.RLock()
        self._addresses: dict[tuple[str, str], int] = {}
        self._serial = itertools.count()
        self._llvm: Any = None
        self._machine: Any = None
        self._loader: Any = None
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
                objects = {name: self._object(name, ir, digest) for name, (_, digest, ir) in missing.items()}
                for name, address in self._load(objects).items():
                    result[name] = self._addresses[name, missing[name][0]] = address
        return result

    def compile_module(self, names: Sequence[str], ir: str) -> dict[str, int]:
        """Addresses of several functions that one IR text defines, so that they share its globals."""
        self._start()
        with self.lock:
            data = self._object(names[0], ir, self._digest(self._prefix, ",".join(names), ir))
            return self._load({names[0]: data}, names)

    def optimised_ir(self, ir: str) -> str:
        """The IR text after LLVM's optimiser."""
        with self.lock:
            return str(self._optimised("", ir))

    def assembly(self, ir: str) -> str:
        """The machine code of the IR text, as assembly."""
        with self.lock:
            module = self._optimised("", ir)
            return str(self._machine.emit_assembly(module))

    def object_code(self, ir: str) -> bytes:
        """The relocatable object file of the IR text."""
        with self.lock:
            module = self._optimised("", ir)
            return bytes(self._machine.emit_object(module))

    @property
    def features(self) -> CpuFeatures:
        return cpu_features()

    # ---- inside ----
    def _start(self) -> None:
        """Brings LLVM up, at the first compile."""
        if self._llvm is not None:
            return
        with self.lock:
            if self._llvm is not None:
                return
            import llvmlite.binding as llvm  # deferred: importing this module must not load LLVM

            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            cpu = cpu_features()
            target = llvm.Target.from_default_triple()
            options = {"opt": CODEGEN_LEVEL, "reloc": "pic", "codemodel": "small", "jit": True}
            self._machine = target.create_target_machine(cpu.name, cpu.features, **options)
            self._triple, self._layout = self._machine.triple, str(self._machine.target_data)
            self._tuning = llvm.create_pipeline_tuning_options(speed_level=SPEED_LEVEL)
            self._tuning.loop_vectorization = self._tuning.slp_vectorization = False
            self._tuning.loop_interleaving = self._tuning.loop_unrolling = False
            self._loader = llvm.create_lljit_compiler(self._machine, use_jit_link=True, suppress_errors=True)
            version = ".".join(str(part) for part in llvm.llvm_version_info)
            common = f"{FORMAT}|{version}|{self._triple}|{cpu.name}|{cpu.features}|O{SPEED_LEVEL}|C{CODEGEN_LEVEL}"
            self._prefix = f"text|{common}|".encode()
            self._structural_prefix = f"key|{common}|{sources_fingerprint(TARGETS_FOLDER)}|".encode()
            self._llvm = llvm

    def _digest(self, prefix: bytes, name: str, text: str) -> str:
        digest = hashlib.sha256(prefix)
        digest.update(f"{name}|{text}".encode())
        return digest.hexdigest()

    def _object(self, name: str, ir: IrText, digest: str) -> bytes:
        found = self.cache.load(digest)
        if found is not None:
            return found
        made = bytes(self._machine.emit_object(self._optimised(name, _text(ir))))
        self.compiled += 1
        self.cache.store(digest, made)
        return made

    def _optimised(self, name: str, ir: str) -> Any:
        self._start()
        try:
            module = self._llvm.parse_assembly(ir)
            module.triple, module.data_layout = self._triple, self._layout
            module.verify()
        except RuntimeError as error:
            raise JitError(f"LLVM refuses the IR of {name or 'this module'}: {_shown(str(error), ir)}") from None
        if name and not any(f.name == name and not f.is_declaration for f in module.functions):
            raise JitError(f"the IR given for {name!r} defines {[f.name for f in module.functions if not f.is_declaration]}, not {name!r}")
        builder = self._llvm.create_pass_builder(self._machine, self._tuning)
        builder.getModulePassManager().run(module, builder)
        return module

    def _load(self, objects: dict[str, bytes], names: Sequence[str] = ()) -> dict[str, int]:
        library = self._llvm.JITLibraryBuilder().add_current_process()
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


def _shown(error: str, ir: str) -> str:
    """LLVM's message, with the line of IR that it names."""
    for part in error.replace(":", " ").split():
        if part.isdigit():
            lines = ir.splitlines()
            if 0 < int(part) <= len(lines):
                return f"{error.strip()}\n  line {part}: {lines[int(part) - 1].strip()}"
            break
    return error.strip()


_shared: dict[str, Jit] = {}


def jit() -> Jit:
    """The compiler that everybody in this process shares."""
    found = _shared.get("jit")
    return found if found is not None else _shared.setdefault("jit", Jit())
