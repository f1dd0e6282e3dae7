"""A machine for pickles that cannot run code: it builds containers, numbers and strings, and calls nothing but constructors it was given.

A pickle is a program. `pickle.Unpickler` runs it and fetches any function the file names; even with a filter in front it will set
attributes on whatever the file hands it. This machine knows the opcodes of data only. A global is looked up in the table of its caller,
which returns a plain value or a `Constructor`; REDUCE refuses everything else, BUILD goes to the caller, and what the file claims about
sizes is believed only as far as there are bytes. The opcodes are decoded by `pickletools`, which checks that their arguments are complete.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from monograph.core.errors import ArtifactError

DEEPEST = 500
_MARK = object()
_PLAIN_KEYS = (str, int, float, bool, bytes, complex, type(None))

_PUSHES_ITS_ARGUMENT = frozenset(
    ("INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE "
     "BINUNICODE SHORT_BINUNICODE BINUNICODE8 FLOAT BINFLOAT").split()
)  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_WITHOUT_EFFECT = frozenset(("PROTO", "FRAME", "READONLY_BUFFER"))


@dataclass(frozen=True)
class Constructor:
    """What a global of the file stands for: `build(*arguments)` makes the object. It is never itself part of a result."""

    name: str
    build: Callable[..., Any]


@dataclass(frozen=True)
class Surroundings:
    """What a file may refer to: globals, persistent objects (storages), and how state is put into an object."""

    find_global: Callable[[str, str], Any]
    persistent: Callable[[Any], Any]
    set_state: Callable[[Any, Any], Any]


def run(stream: IO[bytes], surroundings: Surroundings) -> Any:
    """The object that the pickle at the stream's position describes; the stream is left behind its last byte.

    Raises ArtifactError for a damaged pickle, for one that refers to code, and for one that contains itself.
    """
    machine = _Machine(surroundings)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                break
            machine.step(opcode.name, argument)
        if len(machine.stack) != 1 or machine.stack[0] is _MARK:
            raise ArtifactError(f"damaged pickle: it ends with {len(machine.stack)} objects on its stack, one is expected")
    except ArtifactError:
        raise
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        AttributeError,
        UnicodeError,
        AssertionError,
        RecursionError,
    ) as error:
        raise ArtifactError(f"damaged pickle: {type(error).__name__}: {error}") from None
    return machine.stack[0]


class _Machine:
    """The stack, the memo, and one method to execute an instruction."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.around = surroundings

    def _to_mark(self) -> list[Any]:
        stack = self.stack
        for at in range(len(stack) - 1, -1, -1):
            if stack[at] is _MARK:
                items = stack[at + 1 :]
                del stack[at:]
                return items
        raise ArtifactError("damaged pickle: a group ends that never began")

    def step(self, name: str, argument: Any) -> None:
        """Executes one instruction."""
        stack = self.stack
        if name in _PUSHES_ITS_ARGUMENT:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name in _TUPLES:
            n = _TUPLES[name]
            if len(stack) < n:
                raise ArtifactError("damaged pickle: a tuple has fewer elements than it says")
            stack[-n:] = [tuple(stack[-n:])]
        elif name == "TUPLE":
            stack.append(tuple(self._to_mark()))
        elif name == "GLOBAL":
            module, _, attribute = argument.partition(" ")
            stack.append(self.around.find_global(module, attribute))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            if not (isinstance(module, str) and isinstance(attribute, str)):
                raise ArtifactError("damaged pickle: the name of a global is not a string")
            stack.append(self.around.find_global(module, attribute))
        elif name in ("REDUCE", "NEWOBJ"):
            self._construct()
        elif name == "BUILD":
            state = stack.pop()
            stack[-1] = self.around.set_state(stack[-1], state)
        elif name == "BINPERSID":
            stack.append(self.around.persistent(stack.pop()))
        elif name == "PERSID":
            stack.append(self.around.persistent(argument))
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self._to_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name not in _WITHOUT_EFFECT:
            self._container(name)

    def _construct(self) -> None:
        arguments, target = self.stack.pop(), self.stack.pop()
        if not isinstance(target, Constructor):
            raise ArtifactError(
                f"the file asks to call a {type(target).__name__}: only the constructors of tensors and plain containers are known"
            )
        if not isinstance(arguments, tuple):
            raise ArtifactError(f"damaged pickle: the arguments of {target.name} are a {type(arguments).__name__}, not a tuple")
        self.stack.append(target.build(*arguments))

    def _container(self, name: str) -> None:
        stack = self.stack
        if name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_SET":
            stack.append(set())
        elif name == "LIST":
            stack.append(self._to_mark())
        elif name == "DICT":
            stack.append({})
            items = self._from_mark_below()
            _set_items(stack[-1], items)
        elif name == "FROZENSET":
            stack.append(frozenset(map(key, self._to_mark())))
        elif name == "APPEND":
            value = stack.pop()
            _expect(stack[-1], list).append(value)
        elif name == "APPENDS":
            values = self._to_mark()
            _expect(stack[-1], list).extend(values)
        elif name == "ADDITEMS":
            values = self._to_mark()
            _expect(stack[-1], set).update(map(key, values))
        elif name == "SETITEM":
            value, k = stack.pop(), stack.pop()
            _set_items(stack[-1], [k, value])
        elif name == "SETITEMS":
            items = self._to_mark()
            _set_items(stack[-1], items)
        else:
            raise ArtifactError(
                f"the pickle uses the instruction {name}, which plain data does not need (it instantiates classes or refers to code)"
            )

    def _from_mark_below(self) -> list[Any]:
        made = self.stack.pop()
        items = self._to_mark()
        self.stack.append(made)
        return items


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ArtifactError(f"damaged pickle: elements for a {kind.__name__} meet a {type(value).__name__}")
    return value


def _set_items(target: Any, items: list[Any]) -> None:
    _expect(target, dict)
    if len(items) % 2:
        raise ArtifactError("damaged pickle: a dict has a key without a value")
    for i in range(0, len(items), 2):
        target[key(items[i])] = items[i + 1]


def key(value: Any, depth: int = 0) -> Any:
    """`value` if it may be a key or a member of a set: a plain value or a flat tuple of them (hashing nested tuples can take for ever)."""
    if isinstance(value, _PLAIN_KEYS):
        return value
    if isinstance(value, tuple) and depth < 2 and len(value) <= 64:
        for item in value:
            key(item, depth + 1)
        return value
    if getattr(type(value), "__hash__", None) is object.__hash__ and not isinstance(value, Constructor):
        return value  # hashed by identity, as tensors and dtypes are
    raise ArtifactError(f"a {type(value).__name__} is the key of a dict in the file; keys are strings, numbers and short tuples of them")


def check_result(value: Any, describe: Callable[[Any, str], str | None]) -> None:
    """Raises ArtifactError if `value` contains itself, is nested absurdly deep, or holds something that `describe` objects to."""
    on_path: set[int] = set()
    done: set[int] = set()
    stack: list[tuple[Any, Any, int, bool]] = [(value, None, 0, False)]  # (object, its place as a chain of keys, depth, on the way up)
    while stack:
        node, place, depth, leaving = stack.pop()
        if leaving:
            on_path.discard(id(node))
            done.add(id(node))
            continue
        if isinstance(node, dict):
            children = list(node.items())
            if isinstance(node, OrderedDict) and vars(node):
                children += vars(node).items()
        elif isinstance(node, list | tuple | set | frozenset):
            children = list(enumerate(node))
        else:
            objection = describe(node, _place(place))
            if objection:
                raise ArtifactError(objection)
            continue
        if id(node) in on_path:
            raise ArtifactError(f"the file holds a container that contains itself (at {_place(place)}); monograph reads trees only")
        if id(node) in done:
            continue
        if depth > DEEPEST:
            raise ArtifactError(f"the file nests containers more than {DEEPEST} deep")
        on_path.add(id(node))
        stack.append((node, place, depth, True))
        stack.extend((child, (place, k), depth + 1, False) for k, child in reversed(children))


def _place(chain: Any) -> str:
    keys = []
    while chain is not None:
        chain, k = chain
        keys.append(f"[{repr(k)[:40]}]" if isinstance(k, str | int | float) else "[...]")
    return "object" + "".join(reversed(keys)) if keys else "the object itself"
