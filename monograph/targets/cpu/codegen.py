"""From LLVM IR text to an object file, on several threads at once.

llvmlite guards every call into LLVM with one lock. The three long calls (parse, optimise, emit) go around it: each `Compiler` has a target
machine, and each module a context, of its own, which is how LLVM itself is meant to be used from several threads. The lock's other
users (another library that compiles through llvmlite) are not affected, they have contexts of their own as well.

What LLVM has left to do is little: the IR is explicitly vectorised, invariants are hoisted and repetitions removed as it is written
(`targets.llvm.ir`). So most kernels get three passes instead of the hundred of O2, and loop strength reduction stays off: a third of
the time of code generation went into it, for nothing that could be measured.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monograph.core.errors import MonographError
from monograph.core.knobs import define_knob
from monograph.runtime.threads import setting
from monograph.targets.cpu.features import cpu_features
from monograph.targets.cpu.resident import touch_sparsely

compile_threads = define_knob("compile_threads", 1, "threads that compile kernels at a cold start (0: as many as run them, at most 8)")

MAX_COMPILE_THREADS = 8
CODEGEN_LEVEL = 2
# Kernels whose loops are written with branches and address arithmetic that LLVM's whole O1 pipeline improves by 15-30 %.
BRANCHING = ("avg_pool", "max_pool", "sort", "mg_")
RECIPE = "sroa,instcombine,simplifycfg/O1/no-lsr"  # part of every cache key


class JitError(MonographError):
    """LLVM refuses IR text, or machine code refers to a symbol that is not in this process."""


@functools.cache
def llvm() -> Any:
    """`llvmlite.binding`, loaded and set up at the first compilation."""
    import llvmlite.binding as binding  # deferred: importing this module must not load LLVM

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.set_option("", "-disable-lsr")
    touch_sparsely(str(binding.ffi.lib._name))
    return binding


@functools.cache
def _unlocked() -> dict[str, Callable[..., Any]]:
    """The long calls without llvmlite's lock ({} if this llvmlite does not tell where its library lies)."""
    lib = llvm().ffi.lib
    names = ("LLVMPY_ParseAssembly", "LLVMPY_RunNewModulePassManager", "LLVMPY_TargetMachineEmitToMemory")
    try:
        library = ctypes.CDLL(lib._name)
        calls = {name: getattr(library, name) for name in names}
        for name, call in calls.items():
            call.argtypes, call.restype = getattr(lib, name).argtypes, getattr(lib, name).restype
    except (AttributeError, OSError, TypeError):
        return {}
    return calls


class Compiler:
    """The LLVM objects of one thread."""

    def __init__(self) -> None:
        binding, cpu = llvm(), cpu_features()
        options = {"opt": CODEGEN_LEVEL, "reloc": "pic", "codemodel": "small", "jit": True}
        self.machine = binding.Target.from_default_triple().create_target_machine(cpu.name, cpu.features, **options)
        self.triple, self.layout = self.machine.triple, str(self.machine.target_data)
        tuning = binding.create_pipeline_tuning_options(speed_level=1)
        tuning.loop_vectorization = tuning.slp_vectorization = False
        tuning.loop_interleaving = tuning.loop_unrolling = False
        self._builder = binding.create_pass_builder(self.machine, tuning)
        self._short = binding.create_new_module_pass_manager()
        self._short.add_sroa_pass()
        self._short.add_instruction_combine_pass()
        self._short.add_simplify_cfg_pass()

    def module(self, name: str, ir: str) -> Any:
        """The IR text as an optimised module; a `name` must be defined by it."""
        binding = llvm()
        try:
            module = self._parse(ir)
            module.triple, module.data_layout = self.triple, self.layout
            module.verify()
        except RuntimeError as error:
            raise JitError(f"LLVM refuses the IR of {name or 'this module'}: {_shown(str(error), ir)}") from None
        if name and not any(f.name == name and not f.is_declaration for f in module.functions):
            raise JitError(f"the IR given for {name!r} defines {[f.name for f in module.functions if not f.is_declaration]}, not {name!r}")
        # LLVM's own pipelines can be run only once: the inliner's part moves its passes out of them.
        passes = self._builder.getModulePassManager() if name.startswith(BRANCHING) else self._short
        run = _unlocked().get("LLVMPY_RunNewModulePassManager", binding.ffi.lib.LLVMPY_RunNewModulePassManager)
        run(passes, module, self._builder)
        return module

    def object_code(self, name: str, ir: str) -> bytes:
        """The IR text as a relocatable object."""
        module = self.module(name, ir)
        ffi = llvm().ffi
        emit = _unlocked().get("LLVMPY_TargetMachineEmitToMemory")
        if emit is None:
            return bytes(self.machine.emit_object(module))
        with ffi.OutputString() as error:
            memory = emit(self.machine, module, 1, error)
            if not memory:
                raise JitError(f"LLVM cannot emit the machine code of {name}: {error}")
        try:
            return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(memory), ffi.lib.LLVMPY_GetBufferSize(memory))
        finally:
            ffi.lib.LLVMPY_DisposeMemoryBuffer(memory)

    def _parse(self, ir: str) -> Any:
        binding = llvm()
        context = binding.create_context()
        parse = _unlocked().get("LLVMPY_ParseAssembly")
        if parse is None:
            return binding.parse_assembly(ir, context)
        with binding.ffi.OutputString() as error:
            module = binding.ModuleRef(parse(context, ir.encode(), error), context)
            if error:
                module.close()
                raise RuntimeError(f"LLVM IR parsing error\n{error}")
        return module


def _shown(error: str, ir: str) -> str:
    """LLVM's message, with the line of IR that it names."""
    for part in error.replace(":", " ").split():
        if part.isdigit():
            lines = ir.splitlines()
            if 0 < int(part) <= len(lines):
                return f"{error.strip()}\n  line {part}: {lines[int(part) - 1].strip()}"
            break
    return error.strip()


_idle: list[Compiler] = []


def borrowed(work: Callable[[Compiler], Any]) -> Any:
    """`work(compiler)` with a compiler that no other thread uses meanwhile."""
    try:
        compiler = _idle.pop()
    except IndexError:
        compiler = Compiler()
    try:
        return work(compiler)
    finally:
        _idle.append(compiler)


def object_codes(texts: Mapping[str, str]) -> dict[str, bytes]:
    """The objects of several functions, `name -> IR text`, compiled on as many threads as the knob `compile_threads` allows."""
    wanted = compile_threads.get() or min(setting.count, MAX_COMPILE_THREADS)
    workers = min(wanted, len(texts)) if _unlocked() else 1
    waiting = sorted(texts, key=lambda name: len(texts[name]))  # the longest is taken first, so that the threads end together
    done: dict[str, bytes] = {}
    errors: list[BaseException] = []

    def work(compiler: Compiler) -> None:
        while waiting and not errors:
            try:
                name = waiting.pop()
            except IndexError:  # another thread was quicker
                return
            done[name] = compiler.object_code(name, texts[name])

    def help_out() -> None:
        try:
            borrowed(work)
        except BaseException as error:
            errors.append(error)

    helpers = [threading.Thread(target=help_out, name="monograph compile") for _ in range(workers - 1)]
    try:
        for helper in helpers:
            helper.start()
        borrowed(work)
    finally:
        waiting.clear()
        _join(helpers)
    if errors:
        raise errors[0]
    return {name: done[name] for name in texts}


def _join(helpers: Sequence[threading.Thread]) -> None:
    for helper in helpers:
        if helper.ident is not None:
            helper.join()
