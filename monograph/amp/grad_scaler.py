"""`GradScaler`: multiplies the loss so that small float16 gradients survive, divides the gradients again, and skips steps that
overflowed.
"""

from __future__ import annotations

import warnings
from enum import Enum
from typing import Any

from monograph.core.dtype import float16
from monograph.core.modes import no_grad
from monograph.tensor import FUNCTIONS
from monograph.tensor.core import Tensor

_NOT_SUPPORTED = "Closure use is not currently supported if GradScaler is enabled."


class OptState(Enum):
    """How far an optimiser has come since the last update()."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


class GradScaler:
    """Dynamic loss scaling: scale(loss).backward(); step(optimizer); update().

    The scale is multiplied by `backoff_factor` after a step whose gradients held inf or NaN (that step is skipped), and by `growth_factor`
    after `growth_interval` good steps in a row. On this machine it works for device "cpu"; for other devices it warns and is disabled:
    disabled, every method passes its argument through.
    """

    def __init__(
        self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5,
        growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        self._device = str(device)
        if enabled and self._device.partition(":")[0] != "cpu":
            warnings.warn(
                f"torch.{self._device}.amp.GradScaler is enabled, but {self._device.upper()} is not available.  Disabling.", stacklevel=2
            )
            enabled = False
        self._enabled = enabled
        if enabled:
            if growth_factor <= 1.0:
                raise AssertionError("The growth factor must be > 1.0.")
            if backoff_factor >= 1.0:
                raise AssertionError("The backoff factor must be < 1.0.")
        self._scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        self._states: dict[int, tuple[OptState, bool | None]] = {}  # of each optimiser since the last update: (state, inf found?)

    def scale(self, outputs: Any) -> Any:
        """A tensor, or a list or tuple of them, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale  # type: ignore[operator]
        if isinstance(outputs, list | tuple):
            return type(outputs)([self.scale(v) for v in outputs])
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divides the gradients of the optimiser's parameters by the scale, in place: call it before clipping. At most once per step."""
        if not self._enabled:
            return
        state, _ = self._states.get(id(optimizer), (OptState.READY, None))
        if state is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if state is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        self._states[id(optimizer)] = (OptState.UNSCALED, self._unscale(optimizer, allow_half=False))

    @no_grad()
    def _unscale(self, optimizer: Any, allow_half: bool) -> bool | None:
        finite, inverse = None, 1.0 / self._scale
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                grad = parameter.grad
                if grad is None:
                    continue
                if grad.dtype is float16 and not allow_half:
                    raise ValueError("Attempting to unscale FP16 gradients.")
                here = FUNCTIONS["isfinite"](grad).all()
                finite = here if finite is None else finite & here
                grad.mul_(inverse)
        return None if finite is None else not bool(finite)

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(*args, **kwargs), unless the gradients hold inf or NaN. Unscales them first if nobody did. Returns what the step
        returned.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError(_NOT_SUPPORTED)
        state, found = self._states.get(id(optimizer), (OptState.READY, None))
        if state is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state is OptState.READY:
            self.unscale_(optimizer)
            _, found = self._states[id(optimizer)]
        if found is None:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None if found else optimizer.step(*args, **kwargs)
        self._states[id(optimizer)] = (OptState.STEPPED, found)
        return result

    def update(self, new_scale: Any = None) -> None:
        """Adapts the scale to what the steps found, or sets it; every optimiser is ready again."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            found = [inf for _, inf in self._states.values() if inf is not None]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            if any(found):
                self._scale *= self._backoff_factor
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
                if self._growth_tracker == self._growth_interval:
                    self._scale *= self._growth_factor
                    self._growth_tracker = 0
        self._states.clear()

    def get_scale(self) -> float:
        """The scale, 1.0 if disabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """The factor that the scale grows by."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets the factor that the scale grows by."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """The factor that the scale shrinks by."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets the factor that the scale shrinks by."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """Good steps before the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets the number of good steps before the scale grows."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether it scales at all."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The scale and its settings; empty if disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(), "growth_factor": self._growth_factor, "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval, "_growth_tracker": self._growth_tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes a state back. Raises RuntimeError for the empty state of a disabled scaler."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler.")
        self._scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]
