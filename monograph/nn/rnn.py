"""Recurrent layers: RNN, LSTM, GRU (layers, directions, packed sequences) and their cells."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from monograph.core.dtype import dtype as DType
from monograph.nn import functional as F
from monograph.nn import init
from monograph.nn.module import Module
from monograph.nn.parameter import Parameter
from monograph.nn.utils.rnn import PackedSequence
from monograph.tensor import Tensor, cat, empty, stack, zeros

State = tuple[Tensor, ...]


def _lstm_step(gates: Tensor, recurrent: Tensor, state: State) -> State:
    """(h, c) after one step: gates i, f, g, o."""
    i, f, g, o = (gates + recurrent).chunk(4, -1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru_step(gates: Tensor, recurrent: Tensor, state: State) -> State:
    """(h,) after one step: gates r, z, n; r acts on the recurrent part of n only."""
    xr, xz, xn = gates.chunk(3, -1)
    hr, hz, hn = recurrent.chunk(3, -1)
    z = (xz + hz).sigmoid()
    n = (xn + (xr + hr).sigmoid() * hn).tanh()
    return ((state[0] - n) * z + n,)


def _tanh_step(gates: Tensor, recurrent: Tensor, state: State) -> State:
    return ((gates + recurrent).tanh(),)


def _relu_step(gates: Tensor, recurrent: Tensor, state: State) -> State:
    return ((gates + recurrent).relu(),)


_STEPS: dict[str, tuple[Callable[..., State], int]] = {
    "LSTM": (_lstm_step, 4), "GRU": (_gru_step, 3), "RNN_TANH": (_tanh_step, 1), "RNN_RELU": (_relu_step, 1),
}  # fmt: skip


class RNNBase(Module):
    """What RNN, LSTM and GRU share. Weights are named as torch names them: weight_ih_l0, weight_hh_l0, bias_ih_l0 ..., *_reverse."""

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
            raise ValueError("dropout should be a number in range [0, 1] representing the probability of an element being zeroed")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers "
                "greater than 1, but got "
                f"dropout={dropout} and num_layers={num_layers}",
                stacklevel=3,
            )
        if not isinstance(hidden_size, int):
            raise TypeError(f"hidden_size should be of type int, got: {type(hidden_size).__name__}")
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        if mode not in _STEPS:
            raise ValueError("Unrecognized RNN mode: " + mode)
        gates = _STEPS[mode][1] * hidden_size
        out_size = proj_size or hidden_size
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            for direction in range(2 if bidirectional else 1):
                in_size = input_size if layer == 0 else out_size * (2 if bidirectional else 1)
                shapes: list[tuple[str, tuple[int, ...]]] = [("weight_ih", (gates, in_size)), ("weight_hh", (gates, out_size))]
                if bias:
                    shapes += [("bias_ih", (gates,)), ("bias_hh", (gates,))]
                if proj_size:
                    shapes.append(("weight_hr", (proj_size, hidden_size)))
                suffix = f"_l{layer}" + ("_reverse" if direction else "")
                for name, shape in shapes:
                    setattr(self, name + suffix, Parameter(empty(shape, device=device, dtype=dtype)))
                self._all_weights.append([name + suffix for name, _ in shapes])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all weights from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do: weights need not lie next to each other."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [weight for weights in self.all_weights for weight in weights]

    def _check(self, input: Tensor, hx: State | None, batched: bool, batch: Any) -> None:
        if input.shape[-1] != self.input_size:
            raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}")
        if hx is None:
            return
        directions = 2 if self.bidirectional else 1
        for i, (h, name) in enumerate(zip(hx, ("hx", "cx") if len(hx) == 2 else ("hx",), strict=True)):
            size = (self.proj_size or self.hidden_size) if i == 0 else self.hidden_size
            wanted = (self.num_layers * directions, batch, size)
            if tuple(h.shape) != wanted:
                kind = "hidden" if len(hx) == 1 else f"hidden[{i}]"
                raise RuntimeError(f"Expected {kind} size {wanted}, got {list(h.shape)} ({name})")

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(output, state): output [T, N, D * H] ([N, T, D * H] with batch_first), state h (LSTM: (h, c)) [layers * D, N, H]."""
        is_lstm = self.mode == "LSTM"
        given: State | None = None if hx is None else (tuple(hx) if is_lstm else (hx,))
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, given)
        if input.ndim not in (2, 3):
            raise ValueError(f"{self._get_name()}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        batched = input.ndim == 3
        x = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        if given is not None:
            if any(h.ndim != input.ndim for h in given):
                what = "batched 3-D" if batched else "unbatched 2-D"
                raise RuntimeError(
                    f"For {what} input, hx and cx should also be {input.ndim}-D but got {tuple(f'{h.ndim}-D' for h in given)} tensors"
                )
            given = given if batched else tuple(h.unsqueeze(1) for h in given)
        self._check(x, given, batched, x.shape[1])
        y, state = self._run(x, given, None, x.shape[1])
        if batched and self.batch_first:
            y = y.transpose(0, 1)
        if not batched:
            y, state = y.squeeze(1), tuple(s.squeeze(1) for s in state)
        return y, state if is_lstm else state[0]

    def _forward_packed(self, packed: PackedSequence, given: State | None) -> Any:
        counts = packed.batch_sizes.tolist()
        if given is not None and packed.sorted_indices is not None:
            given = tuple(h.index_select(1, packed.sorted_indices) for h in given)
        self._check(packed.data, given, True, counts[0])
        y, state = self._run(packed.data, given, counts, counts[0])
        if packed.unsorted_indices is not None:
            state = tuple(s.index_select(1, packed.unsorted_indices) for s in state)
        output = PackedSequence(y, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        return output, state if self.mode == "LSTM" else state[0]

    def _run(self, x: Tensor, given: State | None, counts: list[int] | None, batch: Any) -> tuple[Tensor, State]:
        """All layers. x is [T, N, *], or the packed data if `counts` says how many sequences each step has."""
        directions = 2 if self.bidirectional else 1
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: 2 if self.mode == "LSTM" else 1]
        last: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                k = layer * directions + direction
                start = tuple(zeros((batch, n), dtype=x.dtype) for n in sizes) if given is None else tuple(h[k] for h in given)
                y, state = self._run_direction(x, start, [getattr(self, name) for name in self._all_weights[k]], direction == 1, counts)
                outputs.append(y)
                last.append(state)
            x = outputs[0] if directions == 1 else cat(outputs, -1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, True)
        return x, tuple(stack([state[i] for state in last], 0) for i in range(len(sizes)))

    def _run_direction(self, x: Tensor, state: State, weights: list[Any], reverse: bool, counts: list[int] | None) -> tuple[Tensor, State]:
        w_ih, w_hh = weights[:2]
        b_ih, b_hh = weights[2:4] if self.bias else (None, None)
        project = weights[-1] if self.proj_size else None
        advance = _STEPS[self.mode][0]
        gates = F.linear(x, w_ih, b_ih)  # of all steps at once
        parts = gates.unbind(0) if counts is None else gates.split(counts, 0)
        order = range(len(parts) - 1, -1, -1) if reverse else range(len(parts))
        outputs: list[Any] = [None] * len(parts)
        finished: list[State] = []  # of sequences that ended, the shortest first
        whole = state
        if counts is not None:
            state = tuple(s[: counts[order[0]]] for s in state)
        for t in order:
            if counts is not None:
                state = _resized(state, counts[t], whole, finished)
            h = advance(parts[t], F.linear(state[0], w_hh, b_hh), state)
            if project is not None:
                h = (F.linear(h[0], project), *h[1:])
            state = h
            outputs[t] = state[0]
        if finished:
            state = tuple(cat([s[i] for s in (state, *reversed(finished))], 0) for i in range(len(state)))
        return (stack(outputs, 0) if counts is None else cat(outputs, 0)), state

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text


def _resized(state: State, count: int, whole: State, finished: list[State]) -> State:
    """The state of the sequences that a step of a packed batch has: some have ended (forwards), or start only now (backwards)."""
    have = state[0].shape[0]
    if count < have:
        finished.append(tuple(s[count:] for s in state))
        return tuple(s[:count] for s in state)
    if count > have:
        return tuple(cat([s, w[have:count]], 0) for s, w in zip(state, whole, strict=True))
    return state


class RNN(RNNBase):
    """h = tanh(W_ih x + b_ih + W_hh h + b_hh), or with relu."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if len(args) > 3:
            nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if nonlinearity not in modes:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(modes[nonlinearity], *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); with `proj_size` the output is projected."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent units (Cho et al. 2014)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


class RNNCellBase(Module):
    """One step of a recurrent layer."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: DType | None = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(rows, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all weights from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _advance(self, mode: str, input: Tensor, hx: State | None) -> State:
        name = self._get_name()
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        for h in hx or ():
            if h.ndim not in (1, 2):
                raise ValueError(f"{name}: Expected hidden to be 1D or 2D, got {h.ndim}D instead")
        batched = input.ndim == 2
        x = input if batched else input.unsqueeze(0)
        if hx is None:
            state: State = tuple(zeros((x.shape[0], self.hidden_size), dtype=x.dtype) for _ in range(2 if mode == "LSTM" else 1))
        else:
            state = tuple(h if h.ndim == 2 else h.unsqueeze(0) for h in hx)
        gates, recurrent = F.linear(x, self.weight_ih, self.bias_ih), F.linear(state[0], self.weight_hh, self.bias_hh)
        new = _STEPS[mode][0](gates, recurrent, state)
        return new if batched else tuple(s.squeeze(0) for s in new)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}" + (f", bias={self.bias}" if self.bias is not True else "")
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return text + (f", nonlinearity={nonlinearity}" if nonlinearity != "tanh" else "")


class RNNCell(RNNCellBase):
    """One step of RNN."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next h."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._advance("RNN_" + self.nonlinearity.upper(), input, None if hx is None else (hx,))[0]


class LSTMCell(RNNCellBase):
    """One step of LSTM."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: DType | None = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        """The next (h, c)."""
        h, c = self._advance("LSTM", input, None if hx is None else tuple(hx))
        return h, c


class GRUCell(RNNCellBase):
    """One step of GRU."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: DType | None = None) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next h."""
        return self._advance("GRU", input, None if hx is None else (hx,))[0]
