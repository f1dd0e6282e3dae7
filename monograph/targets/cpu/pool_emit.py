"""The native thread pool and program runner, as LLVM IR. `pool.py` uses them; `runtime/program.py` has the layout of a program.

One step is open at a time. The caller writes the step's record, makes the sequence number odd (open), works itself, makes it even
(closed) and waits until no worker is active. A worker that sees a new odd number counts itself active, looks again (the step may be
closed by now, its record about to be overwritten), grabs units until none are left, and leaves. So the caller never waits for a worker
to *wake*, only for one that is working. Workers spin on the number for a while, then offer their core to others, then sleep on a
condition variable.
"""

from __future__ import annotations

from monograph.runtime.program import HEADER_WORDS, HOST, REFUSES, RELOCATION_WORDS, SERIAL, STEP_WORDS, Header
from monograph.runtime.threads import MAX_THREADS
from monograph.targets.cpu.pool_state import (
    ACTIVE,
    ARGS,
    CAPACITY,
    CONDITION,
    GRAIN,
    HANDLES,
    KERNEL,
    LIMIT,
    MEMORY,
    MUTEX,
    NEXT,
    SCRATCH,
    SEQUENCE,
    SLEEPERS,
    STATE_WORDS,
    STOP,
    STRIDE,
    UNITS,
    WORKERS,
    Native,
)
from monograph.targets.llvm.ir import Module, Val

SPIN_NANOSECONDS = 50_000
AWAKE_NANOSECONDS = 1_000_000  # for so long a worker that nobody needs stays awake, offering its core to others once it is done spinning
CALLER_SPINS = 512
NO_MEMORY = -1

EXTERNALS = (
    "declare i32 @pthread_create(ptr, ptr, ptr, ptr)",
    "declare i32 @pthread_join(i64, ptr)",
    "declare i32 @pthread_mutex_init(ptr, ptr)",
    "declare i32 @pthread_mutex_lock(ptr)",
    "declare i32 @pthread_mutex_unlock(ptr)",
    "declare i32 @pthread_cond_init(ptr, ptr)",
    "declare i32 @pthread_cond_wait(ptr, ptr)",
    "declare i32 @pthread_cond_broadcast(ptr)",
    "declare i32 @pthread_sigmask(i32, ptr, ptr)",
    "declare i32 @sigfillset(ptr)",
    "declare i32 @posix_memalign(ptr, i64, i64)",
    "declare void @free(ptr)",
    "declare i32 @sched_yield()",
    "declare i32 @clock_gettime(i32, ptr)",
    "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
)


def pause_of(architecture: str) -> tuple[str, str]:
    """The instruction that eases spinning, as a line of IR and its declaration ("" where there is none)."""
    if architecture in ("x86_64", "amd64", "i686"):
        return "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"
    if architecture in ("aarch64", "arm64"):
        return "call void @llvm.aarch64.isb(i32 15)", "declare void @llvm.aarch64.isb(i32)"
    return "", ""


def pool_ir(architecture: str) -> str:
    """The whole module: `mg_pool_reset`, `mg_pool_start`, `mg_pool_stop`, `mg_run`, `mg_run_timed`, `mg_pool_state`."""
    module = Module()
    pause, declaration = pause_of(architecture)
    for external in (*EXTERNALS, declaration):
        if external:
            module.declare(external)
    module.globals.append(f"@state = internal global [{STATE_WORDS} x i64] zeroinitializer, align 128\n")

    def function(name: str, params: list[tuple[str, str]], ret: str, internal: bool = False, attrs: str = "nounwind") -> Native:
        return Native(module.function(name, params, ret, attrs, "internal" if internal else ""), pause)

    emit_work(function("work", [("i64", "index")], "void", internal=True))
    emit_worker(function("worker", [("ptr", "argument")], "ptr", internal=True))
    emit_ensure(function("ensure", [("i64", "threads")], "void", internal=True, attrs="nounwind noinline"))
    emit_parallel(function("parallel", [("i64", "threads")], "void", internal=True))
    run_params = [("ptr", "program"), ("ptr", "buffers"), ("i64", "threads")]
    emit_run(function("run", [*run_params, ("ptr", "times")], "i64", internal=True))
    for name, extra in (("mg_run", []), ("mg_run_timed", [("ptr", "times")])):
        n = function(name, [*run_params, *extra], "i64")
        times = n.f.param("times") if extra else Val("null", "ptr")
        n.f.ret(n.call("run", *(n.f.param(p) for _, p in run_params), times, ret="i64"))
    emit_reset(function("mg_pool_reset", [], "i64"))
    emit_start(function("mg_pool_start", [("i64", "threads")], "i64"))
    emit_stop(function("mg_pool_stop", [], "i64"))
    n = function("mg_pool_state", [], "ptr")
    n.f.ret(Val("@state", "ptr"))
    return module.text()


def emit_work(n: Native) -> None:
    """Grabs `grain` units at a time of the open step until none are left."""
    f = n.f
    kernel, args, units, grain = n.get(KERNEL, "ptr"), n.get(ARGS, "ptr"), n.get(UNITS), n.get(GRAIN)
    scratch = f.gep(n.get(SCRATCH, "ptr"), f.mul(f.param("index"), n.get(STRIDE)))
    begin = n.local()

    def grabbed() -> Val:
        n.assign(begin, n.add_atomic(NEXT, grain, "monotonic"))
        return f.icmp("slt", n.read(begin), units)

    def one() -> None:
        end = f.smin(f.add(n.read(begin), grain), units)
        f.line(f"call void {kernel}(ptr {args}, i64 {n.read(begin)}, i64 {end}, ptr {scratch})")

    n.while_(grabbed, one)
    f.ret()


def emit_worker(n: Native) -> None:
    """The life of a pool thread (its argument is its index, from 1)."""
    f = n.f
    index = f.cast("ptrtoint", f.param("argument"), "i64")
    seen, spins, clock = n.local(), n.local(), n.local(words=2)
    deadline, running = n.local(), n.local(1)
    n.assign(deadline, f.add(n.now(clock), SPIN_NANOSECONDS))

    def extend() -> None:
        n.assign(deadline, f.add(n.now(clock), SPIN_NANOSECONDS))

    def take_part(sequence: Val) -> None:
        n.add_atomic(ACTIVE, 1, "seq_cst")
        f.if_(f.icmp("eq", n.load_atomic(SEQUENCE, "seq_cst"), sequence), lambda: f.if_(f.icmp("slt", index, n.get(LIMIT)), lambda: work()))
        n.add_atomic(ACTIVE, -1, "release")

    def work() -> None:
        n.call("work", index, ret="void")

    def changed(sequence: Val) -> None:
        n.assign(seen, sequence)
        odd = f.icmp("ne", f.binary("and", sequence, f.i64(1)), 0)
        f.if_(odd, lambda: take_part(sequence), lambda: n.assign(running, f.sub(f.i64(1), n.load_atomic(STOP, "acquire"))))
        extend()

    def sleep() -> None:
        n.call("pthread_mutex_lock", n.at(MUTEX))
        n.add_atomic(SLEEPERS, 1, "seq_cst")
        n.while_(
            lambda: f.icmp("eq", n.load_atomic(SEQUENCE, "seq_cst"), n.read(seen)),
            lambda: f.line(f"call i32 @pthread_cond_wait(ptr {n.at(CONDITION)}, ptr {n.at(MUTEX)})"),
        )
        n.add_atomic(SLEEPERS, -1, "seq_cst")
        n.call("pthread_mutex_unlock", n.at(MUTEX))
        extend()

    def idle() -> None:
        n.pause()
        n.assign(spins, f.add(n.read(spins), 1))
        look = f.icmp("eq", f.binary("and", n.read(spins), f.i64(31)), 0)
        f.if_(look, lambda: f.if_(f.icmp("sgt", n.now(clock), n.read(deadline)), late))

    def late() -> None:
        over = f.icmp("sgt", n.now(clock), f.add(n.read(deadline), AWAKE_NANOSECONDS - SPIN_NANOSECONDS))
        f.if_(over, sleep, lambda: f.line("call i32 @sched_yield()"))

    def turn() -> None:
        sequence = n.load_atomic(SEQUENCE, "acquire")
        f.if_(f.icmp("ne", sequence, n.read(seen)), lambda: changed(sequence), idle)

    n.while_(lambda: f.icmp("ne", n.read(running), 0), turn)
    f.ret(Val("null", "ptr"))


def emit_ensure(n: Native) -> None:
    """Starts workers until `threads - 1` live (fewer if the system refuses). Signals stay with the threads that Python knows."""
    f = n.f
    everything, before, failed = n.local(words=32), n.local(words=32), n.local()
    n.call("sigfillset", everything)
    n.call("pthread_sigmask", Val("2", "i32"), everything, before)

    def start() -> None:
        index = f.add(n.get(WORKERS), 1)
        handle = f.gep(n.at(HANDLES), index, "i64")
        result = n.call("pthread_create", handle, Val("null", "ptr"), Val("@worker", "ptr"), f.cast("inttoptr", index, "ptr"))
        f.if_(f.icmp("eq", result, 0), lambda: n.put(WORKERS, index), lambda: n.assign(failed, 1))

    def wanted() -> Val:
        fewer = f.icmp("slt", f.add(n.get(WORKERS), 1), f.param("threads"))
        return f.binary("and", fewer, f.icmp("eq", n.read(failed), 0))

    n.while_(wanted, start)
    n.call("pthread_sigmask", Val("2", "i32"), before, Val("null", "ptr"))
    f.ret()


def emit_parallel(n: Native) -> None:
    """Opens the step whose record is written, works, closes it, and waits for the workers that are in it."""
    f = n.f
    n.put(LIMIT, f.param("threads"))
    f.line(f"store atomic i64 0, ptr {n.at(NEXT)} monotonic, align 8")
    sequence, spins = n.load_atomic(SEQUENCE, "monotonic"), n.local()
    n.set_atomic(SEQUENCE, f.add(sequence, 1))
    f.if_(f.icmp("ne", n.load_atomic(SLEEPERS, "seq_cst"), 0), n.wake)
    n.call("work", f.i64(0), ret="void")
    n.set_atomic(SEQUENCE, f.add(sequence, 2))

    def wait() -> None:
        n.pause()
        n.assign(spins, f.add(n.read(spins), 1))
        # A worker that the system has put aside needs this core more than we do.
        f.if_(f.icmp("sgt", n.read(spins), CALLER_SPINS), lambda: f.line("call i32 @sched_yield()"))

    n.while_(lambda: f.icmp("ne", n.load_atomic(ACTIVE, "seq_cst"), 0), wait)
    f.ret()


def emit_run(n: Native) -> None:
    """Runs a program: 0, or 1 + the index of the host step that failed, or NO_MEMORY."""
    f = n.f
    program, buffers, times = f.param("program"), f.param("buffers"), f.param("times")

    def header(field: Header) -> Val:
        return f.load("i64", f.gep(program, int(field), "i64"), 8)

    block, status, index, clock, before = n.local(), n.local(), n.local(), n.local(words=2), n.local()
    owner = n.take_busy()
    steps_count, args_bytes, stride = header(Header.STEPS), header(Header.ARGS_BYTES), header(Header.SCRATCH_BYTES)
    may_share = f.binary("and", owner, f.icmp("ne", header(Header.PARALLEL), 0))
    threads = f.select(may_share, f.smin(f.smax(f.param("threads"), 1), MAX_THREADS), f.i64(1))
    need = f.add(args_bytes, f.mul(stride, threads))

    def allocate(slot: Val, size: Val) -> Val:
        return f.icmp("eq", n.call("posix_memalign", slot, f.i64(4096), size), 0)

    def grow() -> None:
        # Capacity is 0 while the block changes, so that a child forked in between does not free it again.
        old, had = n.get(MEMORY, "ptr"), n.get(CAPACITY)
        n.set_atomic(CAPACITY, 0)
        f.if_(f.icmp("ne", had, 0), lambda: f.line(f"call void @free(ptr {old})"))
        size = f.binary("and", f.add(need, 0xFFFF), f.i64(~0xFFFF))

        def keep() -> None:
            n.put(MEMORY, n.read(block))
            n.set_atomic(CAPACITY, size)

        f.if_(allocate(block, size), keep, lambda: n.assign(status, NO_MEMORY))

    def shared_block() -> None:
        n.assign(block, n.get(MEMORY))
        f.if_(f.icmp("slt", n.get(CAPACITY), need), grow)

    def own_block() -> None:
        f.if_(allocate(block, need), lambda: None, lambda: n.assign(status, NO_MEMORY))

    f.if_(owner, shared_block, own_block)

    def run_steps() -> None:
        args = f.cast("inttoptr", n.read(block), "ptr")
        scratch = f.gep(args, args_bytes)
        relocations_at, template_at = header(Header.RELOCATIONS_AT), header(Header.TEMPLATE_AT)
        template = f.gep(program, template_at)
        f.line(f"call void @llvm.memcpy.p0.p0.i64(ptr align 8 {args}, ptr align 8 {template}, i64 {args_bytes}, i1 false)")

        def patch(i: Val) -> None:
            relocation = f.gep(program, f.add(relocations_at, f.mul(i, 8 * RELOCATION_WORDS)))
            address = f.load("i64", f.gep(buffers, n.f.word(relocation, 1), "i64"), 8)
            f.store(f.add(address, f.word(relocation, 2)), f.gep(args, f.word(relocation, 0), "i64"), 8)

        f.loop(0, header(Header.RELOCATIONS), 1, (), patch)
        many = f.icmp("sgt", threads, 1)
        short_of_workers = f.binary("and", many, f.icmp("slt", f.add(n.get(WORKERS), 1), threads))
        f.if_(short_of_workers, lambda: f.line(f"call void @ensure(i64 {threads})"))
        timed = f.icmp("ne", times, Val("null", "ptr"))
        f.if_(timed, lambda: n.assign(before, n.now(clock)))

        def outcome(word: Val) -> Val:
            words = f.load("ptr", f.gep(buffers, f.sub(header(Header.OUTCOME), 1), "i64"), 8)
            return f.gep(words, word, "i64")

        def refused(k: Val) -> Val:
            return f.icmp("ne", f.load("i64", outcome(k), 8), 0)

        def step() -> None:
            i = n.read(index)
            record = f.gep(program, f.add(f.mul(i, 8 * STEP_WORDS), 8 * HEADER_WORDS))
            kernel, step_args = f.word(record, 0, "ptr"), f.gep(args, f.word(record, 1))
            units, grain, flags = f.word(record, 2), f.word(record, 3), f.word(record, 4)
            n.assign(index, f.add(i, 1))
            free_to_split = f.icmp("eq", f.binary("and", flags, f.i64(SERIAL | HOST)), 0)
            split = f.binary("and", f.binary("and", many, free_to_split), f.icmp("sgt", units, grain))

            def parallel() -> None:
                n.put(KERNEL, kernel)
                n.put(ARGS, step_args)
                n.put(UNITS, units)
                n.put(GRAIN, grain)
                n.put(SCRATCH, scratch)
                n.put(STRIDE, stride)
                n.call("parallel", threads, ret="void")

            def alone() -> None:
                f.line(f"call void {kernel}(ptr {step_args}, i64 0, i64 {units}, ptr {scratch})")

            def host() -> None:
                f.store(f.i64(0), scratch, 8)
                alone()
                f.if_(f.icmp("ne", f.load("i64", scratch, 8), 0), lambda: n.assign(status, f.add(i, 1)))

            def serial() -> None:
                is_host = f.icmp("ne", f.binary("and", flags, f.i64(HOST)), 0)
                f.if_(f.icmp("sgt", units, 0), lambda: f.if_(is_host, host, alone))

            f.if_(split, parallel, serial)

            def look() -> None:
                f.loop(0, header(Header.OUTCOME_WORDS), 1, (), lambda k: f.if_(refused(k), lambda: n.assign(status, f.add(i, 1))))

            f.if_(f.icmp("ne", f.binary("and", flags, f.i64(REFUSES)), 0), look)

            def stamp() -> None:
                now = n.now(clock)
                f.store(f.sub(now, n.read(before)), f.gep(times, i, "i64"), 8)
                n.assign(before, now)

            f.if_(timed, stamp)

        def more() -> Val:
            return f.binary("and", f.icmp("slt", n.read(index), steps_count), f.icmp("eq", n.read(status), 0))

        n.while_(more, step)
        ended = f.binary("and", f.icmp("eq", n.read(status), 0), f.icmp("ne", header(Header.OUTCOME), 0))
        f.if_(ended, lambda: f.store(f.i64(1), outcome(header(Header.OUTCOME_WORDS)), 8))

    f.if_(f.icmp("eq", n.read(status), 0), run_steps)

    def free_own() -> None:
        f.if_(f.icmp("ne", n.read(status), NO_MEMORY), lambda: f.line(f"call void @free(ptr {f.cast('inttoptr', n.read(block), 'ptr')})"))

    f.if_(owner, n.leave_busy, free_own)
    f.ret(n.read(status))


def emit_reset(n: Native) -> None:
    """The state of a pool without threads: at the start, and in a forked child (whose parent's workers do not exist there)."""
    # The block is dropped, not freed: a run that forked from inside a host step still works in it.
    for word in (SEQUENCE, ACTIVE, NEXT, SLEEPERS, STOP, WORKERS, MEMORY, CAPACITY):
        n.put(word, 0)
    n.call("pthread_mutex_init", n.at(MUTEX), Val("null", "ptr"))
    n.call("pthread_cond_init", n.at(CONDITION), Val("null", "ptr"))
    n.leave_busy()
    n.f.ret(n.f.i64(0))


def emit_start(n: Native) -> None:
    """Starts workers ahead of the first run; the number that lives (-1: the pool is in use just now)."""
    f, result = n.f, n.local(-1)

    def start() -> None:
        f.line(f"call void @ensure(i64 {f.smin(f.param('threads'), MAX_THREADS)})")
        n.assign(result, n.get(WORKERS))
        n.leave_busy()

    f.if_(n.take_busy(), start)
    f.ret(n.read(result))


def emit_stop(n: Native) -> None:
    """Ends all workers and waits for them; 1, or 0 if the pool is in use just now."""
    f, result = n.f, n.local()

    def stop() -> None:
        n.set_atomic(STOP, 1)
        n.add_atomic(SEQUENCE, 2, "seq_cst")
        n.wake()

        def join() -> None:
            handle = f.load("i64", f.gep(n.at(HANDLES), n.get(WORKERS), "i64"), 8)
            n.call("pthread_join", handle, Val("null", "ptr"))
            n.put(WORKERS, f.sub(n.get(WORKERS), 1))

        n.while_(lambda: f.icmp("sgt", n.get(WORKERS), 0), join)
        n.set_atomic(STOP, 0)
        n.assign(result, 1)
        n.leave_busy()

    f.if_(n.take_busy(), stop)
    f.ret(n.read(result))
