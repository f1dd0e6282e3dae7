"""The words of the pool's shared state, and a writer of IR over them: atomics, local variables, while loops."""

from __future__ import annotations

from collections.abc import Callable

from monograph.runtime.threads import MAX_THREADS
from monograph.targets.llvm.ir import Fn, Val

# Words of the pool's state; what different threads write lies 128 bytes apart (processors fetch lines in pairs).
BUSY, SEQUENCE, ACTIVE, NEXT, SLEEPERS, STOP = 0, 16, 32, 48, 64, 65
WORKERS, MEMORY, CAPACITY = 80, 81, 82
KERNEL, ARGS, UNITS, GRAIN, LIMIT, SCRATCH, STRIDE = range(96, 103)
MUTEX, CONDITION, HANDLES = 112, 128, 144
STATE_WORDS = HANDLES + MAX_THREADS


class Native:
    """Words of structured control flow and atomics over one `Fn`."""

    def __init__(self, fn: Fn, pause: str) -> None:
        self.f, self.pause_line = fn, pause

    # ---- the pool's state ----
    def at(self, word: int) -> Val:
        return Val(f"getelementptr inbounds (i64, ptr @state, i64 {word})", "ptr")

    def get(self, word: int, ty: str = "i64") -> Val:
        return self.f.load(ty, self.at(word), 8)

    def put(self, word: int, value: Val | int) -> None:
        self.f.store(value if isinstance(value, Val) else self.f.i64(value), self.at(word), 8)

    def load_atomic(self, word: int, order: str) -> Val:
        return self.f.emit("i64", f"load atomic i64, ptr {self.at(word)} {order}, align 8")

    def add_atomic(self, word: int, by: Val | int, order: str) -> Val:
        return self.f.emit("i64", f"atomicrmw add ptr {self.at(word)}, i64 {by} {order}")

    def set_atomic(self, word: int, value: Val | int, order: str = "seq_cst") -> None:
        self.f.emit("i64", f"atomicrmw xchg ptr {self.at(word)}, i64 {value} {order}")

    def take_busy(self) -> Val:
        """Makes this call the pool's owner; i1: whether it is."""
        pair = self.f.emit("{ i64, i1 }", f"cmpxchg ptr {self.at(BUSY)}, i64 0, i64 1 acq_rel monotonic")
        return self.f.emit("i1", f"extractvalue {{ i64, i1 }} {pair}, 1")

    def leave_busy(self) -> None:
        self.f.line(f"store atomic i64 0, ptr {self.at(BUSY)} release, align 8")

    # ---- local variables: LLVM turns them into registers ----
    def local(self, value: Val | int = 0, words: int = 1) -> Val:
        slot = self.f.emit("ptr", f"alloca [{words} x i64], align 16")
        self.assign(slot, value)
        return slot

    def read(self, slot: Val) -> Val:
        return self.f.load("i64", slot, 8)

    def assign(self, slot: Val, value: Val | int) -> None:
        self.f.store(value if isinstance(value, Val) else self.f.i64(value), slot, 8)

    def while_(self, condition: Callable[[], Val], body: Callable[[], None]) -> None:
        f = self.f
        head, inside, done = f.label("while"), f.label("do"), f.label("end")
        f.br(head)
        f.start(head)
        f.cond_br(condition(), inside, done)
        f.start(inside)
        body()
        f.br(head)
        f.start(done)

    def call(self, name: str, *args: Val, ret: str = "i32") -> Val:
        result = self.f.call(ret, name, *args)
        return result if result is not None else Val("", "void")

    def pause(self) -> None:
        if self.pause_line:
            self.f.line(self.pause_line)

    def now(self, clock: Val) -> Val:
        """Nanoseconds of the monotonic clock (`clock`: two local words)."""
        self.call("clock_gettime", Val("1", "i32"), clock)
        f = self.f
        return f.add(f.mul(f.load("i64", clock, 8), 1_000_000_000), f.load("i64", f.gep(clock, 1, "i64"), 8))

    def wake(self) -> None:
        self.call("pthread_mutex_lock", self.at(MUTEX))
        self.call("pthread_cond_broadcast", self.at(CONDITION))
        self.call("pthread_mutex_unlock", self.at(MUTEX))
