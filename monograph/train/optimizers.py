"""Optimisers by name, with Keras's defaults of what a name alone means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from monograph import optim

# What Keras's name means where torch's default learning rate is another one.
LEARNING_RATES = {"sgd": 0.01, "rmsprop": 1e-3, "adagrad": 1e-3, "adadelta": 1e-3}


def named(given: Any, parameters: Iterable[Any]) -> Any:
    """The optimiser for a name ("adam"), a class, or a function of the parameters; an instance stays itself."""
    if hasattr(given, "param_groups") and hasattr(given, "step"):
        return given
    trained = [p for p in parameters if p.requires_grad]
    if not trained:
        raise ValueError("the module has no parameters to train (those with requires_grad)")
    if isinstance(given, str):
        known = {name.lower(): getattr(optim, name) for name in dir(optim) if isinstance(getattr(optim, name), type)}
        known = {name: kind for name, kind in known.items() if issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer}
        if given.lower() not in known:
            raise ValueError(
                f"no optimiser is called {given!r}; there are {', '.join(sorted(known))}, or give one: optim.Adam(model.parameters())"
            )
        rate = LEARNING_RATES.get(given.lower())
        return known[given.lower()](trained) if rate is None else known[given.lower()](trained, lr=rate)
    if callable(given):
        return given(trained)
    raise TypeError(f"optimizer must be a name, an optimiser, its class, or a function of the parameters; got {type(given).__name__}")
