"""One program of a `function`: for arguments of one kind. It can be called, and its graph and signature read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from monograph.core import trees
from monograph.core.dtype import category, of_scalar
from monograph.tensor.core import Tensor
from monograph.tensor.export_signature import Dim
from monograph.tensor.exporting import ExportedProgram, export
from monograph.tensor.pointwise import FUNCTIONS
from monograph.tensor.spec import TensorSpec

STAND_IN = 3  # the size that stands for None while a program is recorded with symbolic sizes


def leaf_spec(value: Any) -> Any:
    """The TensorSpec of a tensor, anything else as it is."""
    if isinstance(value, Tensor):
        return TensorSpec(tuple(value.shape), value.dtype)
    return TensorSpec(value.shape, FUNCTIONS["tensor"](value).dtype) if isinstance(value, np.ndarray) else value


def structure_of(value: Any) -> Any:
    """A value with its tensors replaced by their specs."""
    return trees.map_leaves(leaf_spec, value)


def fitted(spec: Any, value: Any, what: str) -> Any:
    """`value` as `spec` wants it: numbers, lists and arrays become tensors of its dtype; raises TypeError where it does not fit."""
    if isinstance(spec, TensorSpec):
        return _as_tensor(spec, value)
    if isinstance(spec, dict):
        if not isinstance(value, Mapping) or set(value) != set(spec):
            raise TypeError(f"{what} must be a dict with the keys {list(spec)}, got {value!r}")
        return {name: fitted(s, value[name], f"{what}[{name!r}]") for name, s in spec.items()}
    if isinstance(spec, tuple | list):
        if not isinstance(value, tuple | list) or len(value) != len(spec):
            raise TypeError(f"{what} must be a {type(spec).__name__} of {len(spec)}, got {value!r}")
        parts = [fitted(s, v, f"{what}[{i}]") for i, (s, v) in enumerate(zip(spec, value, strict=True))]
        return type(spec)(*parts) if hasattr(spec, "_fields") else type(spec)(parts)
    if isinstance(value, Tensor) or type(value) is not type(spec) or value != spec:
        raise TypeError(f"Can not cast {structure_of(value)!r} to Literal[{spec!r}]")
    return value


def _as_tensor(spec: TensorSpec, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        try:
            array = np.asarray(value)
            if array.dtype.kind in "OSU":
                raise TypeError
            if category(of_scalar(array.reshape(-1)[0] if array.size else array.dtype.type(0))) > category(spec.dtype):
                raise TypeError
            value = FUNCTIONS["tensor"](value, dtype=spec.dtype)
        except (TypeError, ValueError):
            raise TypeError(f"Cannot convert {value!r} to a tensor of dtype {spec.dtype}") from None
    if not spec.is_compatible_with(value):
        raise TypeError(f"Can not cast {TensorSpec(tuple(value.shape), value.dtype, spec.name)} to {spec}")
    return value


def described(spec: Any) -> str:
    """A spec in words."""
    if isinstance(spec, TensorSpec):
        return repr(spec)
    if isinstance(spec, dict):
        return f"Dict[{', '.join(f'[{k!r}, {described(v)}]' for k, v in spec.items())}]"
    if isinstance(spec, tuple | list):
        return f"{type(spec).__name__.capitalize()}[{', '.join(described(v) for v in spec)}]"
    return f"Literal[{spec!r}]"


def flat_signature(specs: Mapping[str, Any]) -> str:
    """(x: spec, y: spec)."""
    return "(" + ", ".join(f"{name}: {described(spec)}" for name, spec in specs.items()) + ")"


class ConcreteFunction:
    """A function for one kind of arguments. `graph` is its program as text, `inputs` and `outputs` are TensorSpecs."""

    def __init__(
        self, name: str, python_function: Callable[..., Any], signature: inspect.Signature, specs: dict[str, Any], engine: Any
    ) -> None:
        self.name, self._function, self._signature, self._specs, self._engine = name, python_function, signature, specs, engine
        self.output: Any = None
        self._program: ExportedProgram | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls it; values that the signature fixes may be left out. Raises TypeError for arguments that do not fit."""
        try:
            bound = self._signature.bind_partial(*args, **kwargs)
            for parameter, spec in self._specs.items():
                if parameter in bound.arguments:
                    bound.arguments[parameter] = fitted(spec, bound.arguments[parameter], parameter)
                elif any(isinstance(s, TensorSpec) for s in trees.flatten(spec)[0]):
                    raise TypeError(f"missing a required argument: {parameter!r}")
                else:
                    bound.arguments[parameter] = spec
        except TypeError as error:
            raise TypeError(f"Binding inputs to {self.name} failed due to `{error}` for signature: {flat_signature(self._specs)}") from None
        return self._engine.call(bound.args, bound.kwargs)

    # ---- the signature ----
    @property
    def structured_input_signature(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """(positional, by keyword): specs and values as the function takes them."""
        bound = inspect.BoundArguments(self._signature, dict(self._specs))  # type: ignore[arg-type]
        return bound.args, bound.kwargs

    @property
    def inputs(self) -> list[TensorSpec]:
        """The specs of the tensors among the arguments."""
        return [s for s in trees.flatten(self._specs)[0] if isinstance(s, TensorSpec)]

    @property
    def structured_outputs(self) -> Any:
        """The result with its tensors replaced by their specs."""
        if self.output is None or any(n is None for s in self.inputs for n in s.shape or ()):
            small, large = (structure_of(self._exported().module()(*args, **kwargs)) for args, kwargs in map(self._stand_ins, (3, 4)))
            leaves, structure = trees.flatten(small)
            joined = zip(leaves, trees.flatten(large)[0], strict=True)
            self.output = trees.unflatten(structure, [a.most_general(b) if isinstance(a, TensorSpec) else a for a, b in joined])
        return self.output

    @property
    def outputs(self) -> list[TensorSpec]:
        """The specs of the tensors in the result."""
        return [s for s in trees.flatten(self.structured_outputs)[0] if isinstance(s, TensorSpec)]

    def pretty_printed_signature(self, verbose: bool = True) -> str:
        """Inputs and outputs, a line each."""
        if not verbose:
            return f"{self.name}{flat_signature(self._specs)}"
        kinds = {name: str(p.kind.name) for name, p in self._signature.parameters.items()}
        lines = ["Input Parameters:", *[f"  {name} ({kinds[name]}): {described(spec)}" for name, spec in self._specs.items()]]
        lines += ["Output Type:", f"  {described(self.structured_outputs)}"]
        return "\n".join(lines)

    # ---- the program ----
    @property
    def graph(self) -> str:
        """The program, with symbolic sizes where the signature has None. Raises CaptureError where Python looks at values."""
        return self._exported().graph

    def _stand_ins(self, size: int = STAND_IN) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def tensor(spec: Any) -> Any:
            if not isinstance(spec, TensorSpec):
                return spec
            if spec.shape is None:
                raise ValueError(f"{self.name}: a program needs to know how many dimensions its inputs have, {spec} does not say")
            return FUNCTIONS["zeros"](*[size if n is None else n for n in spec.shape], dtype=spec.dtype)

        args, kwargs = self.structured_input_signature
        return trees.map_leaves(tensor, args), trees.map_leaves(tensor, kwargs)

    def _exported(self) -> ExportedProgram:
        if self._program is None:
            args, kwargs = self._stand_ins()
            open_sizes = {name: trees.map_leaves(_dynamic, spec) for name, spec in self._specs.items()}
            self._program = export(self._function, args, kwargs, dynamic_shapes=open_sizes)
        return self._program

    def __repr__(self) -> str:
        return f"<ConcreteFunction {self.name}{flat_signature(self._specs)}>"


def _dynamic(spec: Any) -> Any:
    if not isinstance(spec, TensorSpec) or spec.shape is None:
        return None
    return {d: Dim.AUTO for d, n in enumerate(spec.shape) if n is None}


__all__ = ["ConcreteFunction"]
