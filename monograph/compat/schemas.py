"""Schemas of operators: "(Tensor x, int n=1, *, bool flip=False) -> Tensor", read for their arguments and defaults."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from monograph.tensor.core import Tensor

_TYPES = {Tensor: "Tensor", int: "SymInt", float: "float", bool: "bool", str: "str", complex: "Scalar"}
_REQUIRED = inspect.Parameter.empty


class Argument:
    """One argument of a schema."""

    def __init__(self, name: str, type_: str, default: Any, kwarg_only: bool) -> None:
        self.name, self.type, self.default_value, self.kwarg_only = name, type_, None if default is _REQUIRED else default, kwarg_only
        self.required = default is _REQUIRED

    def has_default_value(self) -> bool:
        """Whether it may be left out."""
        return not self.required


class Schema:
    """The arguments of an operator; None as text means that nothing is known and everything is passed on."""

    def __init__(self, name: str, text: str | None) -> None:
        self.name, self.text = name, text
        self.arguments: list[Argument] = [] if text is None else list(_arguments(text))

    def __str__(self) -> str:
        return f"{self.name}{self.text or '(...)'}"

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword-only arguments of a call, with the schema's defaults. Raises RuntimeError as torch does for wrong ones."""
        if self.text is None:
            return args, kwargs
        positional = [argument for argument in self.arguments if not argument.kwarg_only]
        if len(args) > len(positional):
            raise RuntimeError(
                f"{self.name}() expected at most {len(positional)} argument(s) but received {len(args)} argument(s). Declaration: {self}"
            )
        given = dict(zip((argument.name for argument in positional), args, strict=False))
        unknown = [name for name in kwargs if name in given or name not in {argument.name for argument in self.arguments}]
        if unknown:
            raise RuntimeError(f"Unknown keyword argument '{unknown[0]}' for operator '{self.name}'. Schema: {self}")
        given.update(kwargs)
        missing = [argument.name for argument in self.arguments if argument.required and argument.name not in given]
        if missing:
            raise RuntimeError(f"{self.name}() is missing value for argument '{missing[0]}'. Declaration: {self}")
        values = {argument.name: given.get(argument.name, argument.default_value) for argument in self.arguments}
        return tuple(values[a.name] for a in positional), {a.name: values[a.name] for a in self.arguments if a.kwarg_only}


def _split(text: str) -> list[str]:
    """The parts between commas that are in no bracket."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _arguments(text: str) -> Iterator[Argument]:
    """The arguments of "(...) -> ..."."""
    inner, depth = "", 0
    for letter in text:
        depth -= letter == ")"
        if depth > 0:
            inner += letter
        depth += letter == "("
        if depth == 0 and inner:
            break
    kwarg_only = False
    for part in _split(inner):
        if part == "*":
            kwarg_only = True
            continue
        declared, has_default, default = part.partition("=")
        type_, _, name = declared.strip().rpartition(" ")
        yield Argument(name, type_, _literal(default.strip()) if has_default else _REQUIRED, kwarg_only)


def _literal(text: str) -> Any:
    """A default of a schema: a Python literal, or a word (as in "float") as a str."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def inferred(function: Callable[..., Any], *, mutates_args: Any = ()) -> str:
    """The schema of a function from its annotations: "(Tensor x, SymInt n=1) -> Tensor"."""
    signature = inspect.signature(function, eval_str=True)
    parts, only = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not only:
            parts.append("*")
            only = True
        if parameter.annotation is _REQUIRED:
            raise ValueError(
                f"infer_schema(func): Parameter {parameter.name} must have a type annotation. Got func with signature {signature}"
            )
        name = _type(parameter.annotation)
        if parameter.name in mutates_args:
            name = name.replace("Tensor", f"Tensor(a{len(parts)}!)", 1)
        default = parameter.default
        parts.append(f"{name} {parameter.name}" + ("" if default is _REQUIRED else f"={_written(default)}"))
    back = signature.return_annotation
    return f"({', '.join(parts)}) -> {'()' if back in (None, type(None), _REQUIRED) else _type(back)}"


def _written(default: Any) -> str:
    return repr(default) if default is None or isinstance(default, bool | int | float | str | list | tuple) else repr(str(default))


def _type(annotation: Any) -> str:
    """A Python type as a schema writes it."""
    if annotation in _TYPES:
        return _TYPES[annotation]
    arguments = [item for item in getattr(annotation, "__args__", ()) if item is not Ellipsis]
    origin = str(getattr(annotation, "__origin__", annotation)).lower()
    if type(None) in arguments:
        return _type(next(item for item in arguments if item is not type(None))) + "?"
    if arguments and "tuple" in origin and Ellipsis not in annotation.__args__:
        return f"({', '.join(map(_type, arguments))})"
    if arguments and any(word in origin for word in ("list", "sequence", "tuple")):
        return f"{_type(arguments[0])}[]"
    return {"device": "Device", "dtype": "ScalarType"}.get(getattr(annotation, "__name__", ""), "Scalar")


__all__ = ["Argument", "Schema", "inferred"]
