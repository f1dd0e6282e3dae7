"""The configuration of a run: its fields and their types, read from TOML, JSON or YAML, changed on the command line, and checked.

Checking collects everything that is wrong. Each message names the field, the value, what is allowed, and the name that was probably meant.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import json
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union

from monograph.cli.exits import BAD_CONFIG, FILE_ERROR, CommandError

SUFFIXES = (".toml", ".json", ".yaml", ".yml")
NAMED = ("model", "data", "optimizer")  # sections for which a plain text is the name


@dataclass
class ModelConfig:
    """`name`: a built-in model, "package.module:Class" or "file.py:Class". `args`: its arguments."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass
class DataConfig:
    """`name`: a built-in data set, a .npz or .csv file, or "module:function". Parts of 0 to below 1 are set aside."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)
    batch_size: int = field(default=32, metadata={"low": 1})
    shuffle: bool = True
    validation_split: float = field(default=0.1, metadata={"low": 0, "below": 1})
    test_split: float = field(default=0.2, metadata={"low": 0, "below": 1})


@dataclass
class OptimizerConfig:
    """`name` of an optimiser in monograph.optim, in any case; `args`: its arguments."""

    name: str = "adam"
    args: dict[str, Any] = field(default_factory=dict)


@dataclass
class Config:
    """All of a run."""

    model: ModelConfig
    data: DataConfig
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: str = "cross_entropy"
    metrics: list[str] = field(default_factory=list)
    seed: int = field(default=0, metadata={"low": 0})
    output: str = ""
    trainer: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)

    folder: Path = field(default_factory=Path.cwd, init=False)  # what relative files in the configuration are relative to

    def plain(self) -> dict[str, Any]:
        """As a dict that `check` reads again."""
        made = dataclasses.asdict(self)
        del made["folder"]
        return made


FIELDS = tuple(f.name for f in dataclasses.fields(Config) if f.init)


# ---- reading ----
def read(path: Path) -> dict[str, Any]:
    """The table in a file. CommandError if it cannot be read or is not of its format."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CommandError(f"cannot read the configuration {path}: {why}", FILE_ERROR) from None
    if path.suffix not in SUFFIXES:
        raise CommandError(f"{path} has the ending {path.suffix!r}; a configuration is one of {', '.join(SUFFIXES)}", BAD_CONFIG)
    try:
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text) if path.suffix == ".json" else _yaml(text)
    except ValueError as error:
        raise CommandError(f"{path} is not valid {path.suffix[1:].upper()}: {error}", BAD_CONFIG) from None
    if not isinstance(found, dict):
        raise CommandError(f"{path} holds {type(found).__name__}, not a table of fields", BAD_CONFIG)
    return found


def _yaml(text: str) -> Any:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise CommandError("YAML needs the package PyYAML (pip install pyyaml); TOML and JSON need nothing", BAD_CONFIG) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def value_of(text: str) -> Any:
    """What a text on the command line means: a TOML value if it is one (3, 1e-3, true, [1, 2], "x"), "none", else the text itself."""
    if text.lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except ValueError:
        try:
            return float(text)  # TOML wants 1.0e-3 where people write 1.e-3 or .1
        except ValueError:
            return text


def overridden(given: Mapping[str, Any], overrides: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The table with some fields ("trainer.max_epochs") set to what texts mean."""
    made = json.loads(json.dumps(given, default=str))
    for path, text in overrides:
        *above, last = path.split(".")
        at = made
        for name in above:
            inner = at.get(name)
            if isinstance(inner, str) and name in NAMED:
                inner = {"name": inner}
            at[name] = inner if isinstance(inner, dict) else {}
            at = at[name]
        if last in NAMED and not above and isinstance(at.get(last), dict) and isinstance(value_of(text), str):
            # Another model does not take the arguments of the one before.
            at[last] = {**{k: v for k, v in at[last].items() if k != "args"}, "name": text}
        else:
            at[last] = value_of(text)
    return made


# ---- checking ----
class Problems(list[str]):
    """What is wrong, field by field."""

    def raise_if_any(self, what: str) -> None:
        """CommandError with all of it."""
        if self:
            raise CommandError("\n  ".join([f"{what} has {len(self)} problem{'s' if len(self) > 1 else ''}:", *self]), BAD_CONFIG)


def check(given: Mapping[str, Any], what: str = "the configuration") -> Config:
    """The typed configuration. CommandError that lists every problem."""
    table = {k: {"name": v} if k in NAMED and isinstance(v, str) else v for k, v in given.items()}
    problems = Problems()
    made = _section(Config, table, "", problems)
    problems.raise_if_any(what)
    return made


def _section(kind: Any, given: Any, where: str, problems: Problems) -> Any:
    """A dataclass from a table."""
    if not isinstance(given, Mapping):
        problems.append(f"{where.rstrip('.')} is {given!r}; it is a table of {', '.join(f.name for f in dataclasses.fields(kind))}")
        return None
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}
    for name in given:
        if name not in fields:
            problems.append(unknown(f"{where}{name}", given[name], name, fields))
    found: dict[str, Any] = {}
    for name, f in fields.items():
        path = f"{where}{name}"
        if name not in given:
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
                problems.append(f"{path} is missing; it is {described(hints[name])}")
        elif dataclasses.is_dataclass(hints[name]):
            found[name] = _section(hints[name], given[name], f"{path}.", problems)
        elif not matches(given[name], hints[name]):
            problems.append(f"{path} is {given[name]!r}; it takes {described(hints[name])}")
        elif not _in_range(given[name], f.metadata):
            low, below = f.metadata["low"], f.metadata.get("below")
            problems.append(f"{path} is {given[name]!r}; it must be {low} or more{f' and below {below}' if below is not None else ''}")
        else:
            found[name] = given[name]
    return kind(**found) if not problems else None


def _in_range(value: Any, limits: Mapping[str, Any]) -> bool:
    return ("low" not in limits or value >= limits["low"]) and ("below" not in limits or value < limits["below"])


def check_arguments(where: str, given: Any, function: Callable[..., Any], problems: Problems, filled: Iterable[str] = ()) -> None:
    """Notes what is wrong with the keyword arguments `given` to a function or class; `filled` are those that others give."""
    if not isinstance(given, Mapping):
        problems.append(f"{where} is {given!r}; it is a table of arguments")
        return
    parameters = inspect.signature(function).parameters
    filled = set(filled)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    names = {n: p for n, p in parameters.items() if n not in filled and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    try:
        # A class's own annotations are those of its fields.
        hints = typing.get_type_hints(vars(function).get("__init__", function) if isinstance(function, type) else function)
    except (NameError, TypeError):  # annotations that only a type checker can read
        hints = {}
    for name, value in given.items():
        if name not in names:
            if not open_ended:
                problems.append(unknown(f"{where}.{name}", value, name, names))
        else:
            hint = hint_of(hints.get(name, Any), names[name].default)
            if not matches(value, hint):
                problems.append(f"{where}.{name} is {value!r}; it takes {described(hint)}")
    for name, parameter in names.items():
        if parameter.default is parameter.empty and name not in given:
            problems.append(f"{where}.{name} is missing; {getattr(function, '__name__', function)} needs it")


def hint_of(hint: Any, default: Any) -> Any:
    """The annotation; where it says nothing, what the default tells: an argument that is a number by default takes no text."""
    tells = hint is Any and isinstance(default, int | float) and not isinstance(default, bool)
    return float | bool | list | None if tells else hint


def unknown(path: str, value: Any, name: str, known: Iterable[str]) -> str:
    """The message for a name that nobody knows."""
    known = sorted(known)
    near = difflib.get_close_matches(name.lower(), [k.lower() for k in known], 1, 0.5)
    meant = next((k for k in known if near and k.lower() == near[0]), None)
    hint = f"did you mean {meant}? " if meant else ""
    return f"{path} (= {value!r}) is not known; {hint}There are: {', '.join(known)}"


def matches(value: Any, hint: Any) -> bool:
    """Whether a plain value is one that an annotation allows. Classes that no file can hold are not judged."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(matches(value, one) for one in inside)
    if origin is Literal:
        return value in inside
    if hint in (None, type(None)):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint is Path:
        return isinstance(value, str)
    if origin in (list, tuple) or hint in (list, tuple):
        elements = [a for a in inside if a is not Ellipsis]
        return isinstance(value, list | tuple) and all(any(matches(v, e) for e in elements) or not elements for v in value)
    if origin is dict or hint is dict:
        return isinstance(value, dict) and (not inside or all(matches(v, inside[1]) for v in value.values()))
    return True


def described(hint: Any) -> str:
    """An annotation in words."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(described(one) for one in inside))
    if origin is Literal:
        return "one of " + ", ".join(map(repr, inside))
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "none", Path: "a path"}
    if hint in words:
        return words[hint]
    if origin in (list, tuple):
        return f"a list ({' or '.join(described(a) for a in inside if a is not Ellipsis)})"
    if origin is dict or hint is dict or dataclasses.is_dataclass(hint):
        return "a table"
    return getattr(hint, "__name__", str(hint))
