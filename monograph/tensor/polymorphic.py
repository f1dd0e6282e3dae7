"""TensorFlow's `function`: a compiled function with a signature, whose programs can be looked at one by one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from monograph.core import trees
from monograph.engine.compiled import Compiled
from monograph.tensor.compiling import FRONT
from monograph.tensor.concrete import ConcreteFunction, fitted, flat_signature, leaf_spec, structure_of
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS
from monograph.tensor.spec import TensorSpec

_eager = [False]


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Whether what `function` made runs uncompiled from now on: for debugging."""
    _eager[0] = bool(run_eagerly)


def functions_run_eagerly() -> bool:
    """What `run_functions_eagerly` was last told."""
    return _eager[0]


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


class _OfObject(dict[str, Any]):
    """The functions of one object, by name: a copy of the object makes its own."""

    def __deepcopy__(self, memo: Any) -> _OfObject:
        return _OfObject()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_OfObject, ())


class Function:
    """What `function` returns: call it as the Python function; it is compiled for each kind of arguments (`monograph.compile`).

    A tensor counts by shape and dtype, everything else by value. NumPy arrays become tensors.
    """

    def __init__(
        self, python_function: Callable[..., Any], input_signature: Sequence[Any] | None, reduce_retracing: bool, jit: Any
    ) -> None:
        if not callable(python_function):
            raise TypeError(f"function() takes a callable, got {type(python_function).__name__}")
        if input_signature is not None and not isinstance(input_signature, tuple | list):
            raise TypeError(f"input_signature must be either a tuple or a list, got {type(input_signature)}")
        self.python_function, self._reduce_retracing, self._jit_compile = python_function, reduce_retracing, jit
        self._name = getattr(python_function, "__name__", type(python_function).__name__)
        self._signature = inspect.signature(python_function)
        self.input_signature = None if input_signature is None else tuple(input_signature)
        self._check_signature()
        self.engine = Compiled(python_function, FRONT, _is_tensor)
        self._concrete: dict[Any, ConcreteFunction] = {}
        functools.update_wrapper(self, python_function)

    def _check_signature(self) -> None:
        given = self.input_signature
        if given is None:
            return
        for leaf in trees.flatten(given)[0]:
            if not isinstance(leaf, TensorSpec):
                raise TypeError(f"input_signature holds TensorSpecs (in tuples, lists and dicts), got {leaf!r}")
        kinds = [p for p in self._signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        endless = any(p.kind is p.VAR_POSITIONAL for p in self._signature.parameters.values())
        if len(given) > len(kinds) and not endless:
            raise TypeError(f"input_signature contains {len(given) - len(kinds)} extra type constraints.")
        bare = [p.name for p in kinds[len(given) :] if p.default is p.empty]
        unbound_method = bool(kinds) and kinds[0].name in ("self", "cls")
        if bare and not unbound_method:
            raise TypeError(f"input_signature missing type constraint for {', '.join(bare)}")

    # ---- calling ----
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _eager[0]:
            return self.python_function(*args, **kwargs)
        if self.input_signature is not None:
            args, kwargs = self._fitted(args, kwargs)
        elif any(isinstance(a, np.ndarray) for a in (*args, *kwargs.values())):
            args = tuple([_tensor_of(a) for a in args])
            kwargs = {name: _tensor_of(a) for name, a in kwargs.items()}
        engine = self.engine
        before = engine.captures
        result = engine.call(args, kwargs)
        if engine.captures != before:
            concrete = self._concrete_for(args, kwargs)
            concrete.output = trees.map_leaves(leaf_spec, result)
        return result

    def _fitted(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as the input signature wants them."""
        assert self.input_signature is not None
        try:
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            made = [fitted(spec, value, "argument") for spec, value in zip(self.input_signature, bound.args, strict=False)]
        except TypeError as error:
            wanted = flat_signature(self._specs_of_signature())
            raise TypeError(
                f"Binding inputs to monograph.function failed due to `{error}`. Received args: {_briefly(args)} and kwargs: "
                f"{_briefly(kwargs)} for signature: {wanted}."
            ) from None
        return (*made, *bound.args[len(made) :]), dict(bound.kwargs)

    def _specs_of_signature(self) -> dict[str, Any]:
        names = list(self._signature.parameters)
        return dict(zip(names, self.input_signature or (), strict=False))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A method: every object has its own Function."""
        if instance is None:
            return self
        kept = instance.__dict__.get("_monograph_functions")
        if kept is None or kept.get("", instance) is not instance:  # a shallow copy has the functions of its original
            kept = instance.__dict__["_monograph_functions"] = _OfObject({"": instance})
        found = kept.get(self._name)
        if found is None:
            method = self.python_function.__get__(instance, owner)
            found = kept[self._name] = Function(method, self.input_signature, self._reduce_retracing, self._jit_compile)
        return found

    # ---- looking ----
    def get_concrete_function(self, *args: Any, **kwargs: Any) -> ConcreteFunction:
        """The program for one kind of arguments: tensors, TensorSpecs (sizes may be None) or values.

        >>> import monograph as mg
        >>> double = mg.function(lambda x: x * 2)
        >>> concrete = double.get_concrete_function(mg.TensorSpec((None,), mg.float32))
        >>> concrete(mg.ones(3))
        tensor([2., 2., 2.])
        """
        if self.input_signature is not None and not args and not kwargs:
            args = self.input_signature
        elif self.input_signature is not None:
            given = trees.flatten(args)[0]
            for have, want in zip(given, trees.flatten(self.input_signature)[0], strict=False):
                if not want.is_compatible_with(have):
                    raise TypeError(f"get_concrete_function: {have!r} does not fit the input signature's {want!r}")
        return self._concrete_for(args, kwargs)

    def _concrete_for(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ConcreteFunction:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"Binding inputs to monograph.function failed due to `{error}` for {self._name}{self._signature}") from None
        bound.apply_defaults()
        if self.input_signature is not None:
            names = list(self._signature.parameters)
            described = {name: structure_of(value) for name, value in bound.arguments.items()}
            described.update(dict(zip(names, self.input_signature, strict=False)))
        else:
            described = {name: structure_of(value) for name, value in bound.arguments.items()}
        leaves, structure = trees.flatten(described)
        key = (structure, tuple([(type(x), x if isinstance(x, TensorSpec) else repr(x)) for x in leaves]))
        found = self._concrete.get(key)
        if found is None:
            name = f"{self._name}_{len(self._concrete)}"
            found = self._concrete[key] = ConcreteFunction(name, self.python_function, self._signature, described, self.engine)
        return found

    def experimental_get_tracing_count(self) -> int:
        """How many times the Python function was recorded. New shapes are recorded anew; the kernels are those of all sizes."""
        return self.engine.captures

    def pretty_printed_concrete_signatures(self, verbose: bool = True) -> str:
        """What is known of all programs: their inputs and outputs."""
        return "\n\n".join(c.pretty_printed_signature(verbose) for c in self._concrete.values())

    @property
    def name(self) -> str:
        """The Python function's."""
        return self._name

    def __repr__(self) -> str:
        return f"<monograph.function {self._name}{self._signature}>"


def _tensor_of(value: Any) -> Any:
    return FUNCTIONS["tensor"](value) if isinstance(value, np.ndarray) else value


def _briefly(given: Any) -> str:
    return str(
        trees.map_leaves(lambda x: leaf_spec(x) if isinstance(x, Tensor) else x, dict(given) if isinstance(given, Mapping) else given)
    )


def function(
    func: Callable[..., Any] | None = None, input_signature: Sequence[Any] | None = None, autograph: bool = True, jit_compile: Any = None,
    reduce_retracing: bool = False, experimental_implements: Any = None, experimental_autograph_options: Any = None,
    experimental_attributes: Any = None, experimental_relax_shapes: bool | None = None, experimental_compile: Any = None,
    experimental_follow_type_hints: Any = None,
) -> Any:  # fmt: skip
    """tf.function: compiles a function; with `input_signature` its arguments are checked and Python values cast. Also a decorator.

    Python's own branches and loops need no rewriting here (`compile` follows them), so `autograph` and the experimental options have
    nothing to do; sizes are run-time arguments of the kernels, so `reduce_retracing` has little.

    Raises TypeError for arguments that do not fit the signature.

    >>> import monograph as mg
    >>> @mg.function(input_signature=[mg.TensorSpec((None,), mg.float32)])
    ... def total(x):
    ...     return x.sum()
    >>> total([1.0, 2.0]).item()
    3.0
    """
    if func is None:
        return lambda f: function(f, input_signature, jit_compile=jit_compile, reduce_retracing=reduce_retracing)
    return Function(func, input_signature, bool(reduce_retracing or experimental_relax_shapes), jit_compile)


__all__ = ["ConcreteFunction", "Function", "function", "functions_run_eagerly", "run_functions_eagerly"]
