"""How JAX and TensorFlow run a model: written once as `forward(ops, inputs)` in a handful of layers, channels last as both prefer.

A layer asks `ops` for its weights by the name that they have in torch's `state_dict`, so all frameworks compute with equal numbers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.frames import Inputs
from benchmarks.workload import JAX, TENSORFLOW, Case, Running, Setup, weight

Forward = Callable[..., Any]
RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
BUFFERS = ("running_mean", "running_var")


class Layers:
    """The layers that both frameworks share; `parameters` and `buffers` are filled by the first forward pass, in `collect` mode."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}
        self.buffers: dict[str, Any] = {}
        self.updates: dict[str, Any] = {}
        self.train = False

    def constant(self, name: str, array: np.ndarray) -> Any:
        """What stands for an array that the first pass made: a variable in TensorFlow, the array in JAX."""
        return array

    def get(self, name: str, shape: Sequence[int], arrange: Callable[[np.ndarray], np.ndarray] = lambda array: array) -> Any:
        place = self.buffers if name.endswith(BUFFERS) else self.parameters
        if name not in place:
            place[name] = self.constant(name, np.ascontiguousarray(arrange(weight(name, tuple(shape)))))
        return place[name]

    def linear(self, name: str, x: Any, out: int, image: tuple[int, int, int] | None = None) -> Any:
        """`image`: the (channels, height, width) that were flattened to make x; torch flattens channels first, these frameworks last."""

        def arrange(array: np.ndarray) -> np.ndarray:
            return array.T if image is None else array.reshape(out, *image).transpose(2, 3, 1, 0).reshape(-1, out)

        return x @ self.get(f"{name}.weight", (out, x.shape[-1]), arrange) + self.get(f"{name}.bias", (out,))

    def conv(self, name: str, x: Any, out: int, size: int, stride: int = 1, padding: int = 0, groups: int = 1, bias: bool = False) -> Any:
        shape = (out, x.shape[-1] // groups, size, size)
        depthwise = groups > 1

        def arrange(array: np.ndarray) -> np.ndarray:
            return array.transpose(2, 3, 0, 1) if depthwise and self.depthwise_last else array.transpose(2, 3, 1, 0)

        y = self.convolve(x, self.get(f"{name}.weight", shape, arrange), stride, padding, groups)
        return y + self.get(f"{name}.bias", (out,)) if bias else y

    def batch_norm(self, name: str, x: Any, epsilon: float = 1e-5, momentum: float = 0.1) -> Any:
        features = (x.shape[-1],)
        scale, shift = self.get(f"{name}.weight", features), self.get(f"{name}.bias", features)
        mean, variance = self.get(f"{name}.running_mean", features), self.get(f"{name}.running_var", features)
        if not self.train:
            return self.normalized(x, mean, variance, scale, shift, epsilon)
        y, now, spread = self.batch_normalized(x, scale, shift, epsilon)
        count = int(np.prod(x.shape[:-1]))
        self.updates[f"{name}.running_mean"] = mean + momentum * (now - mean)
        self.updates[f"{name}.running_var"] = variance + momentum * (spread * (count / (count - 1)) - variance)
        return y

    depthwise_last = False
    convolve: Callable[..., Any]
    normalized: Callable[..., Any]
    batch_normalized: Callable[..., Any]


class JaxLayers(Layers):
    """The layers in jax.numpy and jax.lax."""

    def __init__(self) -> None:
        super().__init__()
        self.jax: Any = importlib.import_module("jax")
        self.np: Any = importlib.import_module("jax.numpy")
        self.relu, self.hard_swish, self.hard_sigmoid = self.jax.nn.relu, self.jax.nn.hard_swish, self.jax.nn.hard_sigmoid

    def gelu(self, x: Any) -> Any:
        return self.jax.nn.gelu(x, approximate=False)

    def convolve(self, x: Any, w: Any, stride: int, padding: int, groups: int) -> Any:
        around = [(padding, padding)] * 2
        return self.jax.lax.conv_general_dilated(
            x, w, (stride, stride), around, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
        )

    def normalized(self, x: Any, mean: Any, variance: Any, scale: Any, shift: Any, epsilon: float) -> Any:
        return (x - mean) * (scale * self.jax.lax.rsqrt(variance + epsilon)) + shift

    def batch_normalized(self, x: Any, scale: Any, shift: Any, epsilon: float) -> tuple[Any, Any, Any]:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return self.normalized(x, mean, variance, scale, shift, epsilon), mean, variance

    def max_pool(self, x: Any, size: int, stride: int, padding: int = 0) -> Any:
        around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        return self.jax.lax.reduce_window(x, -np.inf, self.jax.lax.max, (1, size, size, 1), (1, stride, stride, 1), around)

    def average(self, x: Any, keep: bool = False) -> Any:
        return x.mean((1, 2), keepdims=keep)

    def flatten(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)

    def layer_norm(self, name: str, x: Any, epsilon: float = 1e-5) -> Any:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        scale, shift = self.get(f"{name}.weight", (x.shape[-1],)), self.get(f"{name}.bias", (x.shape[-1],))
        return (x - mean) * self.jax.lax.rsqrt(variance + epsilon) * scale + shift

    def embedding(self, name: str, tokens: Any, rows: int, size: int) -> Any:
        return self.np.asarray(self.get(f"{name}.weight", (rows, size)))[tokens]

    def causal_attention(self, x: Any, heads: int) -> Any:
        """x: [B, T, 3 * d], queries, keys and values side by side."""
        batch, time, wide = x.shape
        q, k, v = (part.reshape(batch, time, heads, -1) for part in self.np.split(x, 3, -1))
        return self.jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(batch, time, wide // 3)

    def lstm(self, name: str, x: Any, hidden: int) -> Any:
        w, u, b = self.lstm_weights(name, x.shape[-1], hidden)
        inputs = self.np.swapaxes(x @ w + b, 0, 1)

        def cell(carry: Any, given: Any) -> Any:
            h, c = carry
            i, f, g, o = self.np.split(given + h @ u, 4, -1)
            sigmoid = self.jax.nn.sigmoid
            c = sigmoid(f) * c + sigmoid(i) * self.np.tanh(g)
            h = sigmoid(o) * self.np.tanh(c)
            return (h, c), h

        zeros = self.np.zeros((x.shape[0], hidden), x.dtype)
        return self.jax.lax.scan(cell, (zeros, zeros), inputs)[1].swapaxes(0, 1)

    def lstm_weights(self, name: str, features: int, hidden: int) -> tuple[Any, Any, Any]:
        w = self.get(f"{name}.weight_ih_l0", (4 * hidden, features), np.transpose)
        u = self.get(f"{name}.weight_hh_l0", (4 * hidden, hidden), np.transpose)
        return w, u, self.get(f"{name}.bias_ih_l0", (4 * hidden,)) + self.get(f"{name}.bias_hh_l0", (4 * hidden,))

    def cross_entropy(self, logits: Any, targets: Any) -> Any:
        chosen = self.np.take_along_axis(self.jax.nn.log_softmax(logits), targets[..., None], -1)
        return -chosen.mean()


class TensorFlowLayers(JaxLayers):
    """The layers in TensorFlow's own ops; parameters are variables."""

    depthwise_last = True

    def __init__(self) -> None:
        Layers.__init__(self)
        self.tf: Any = importlib.import_module("tensorflow")
        self.relu = self.tf.nn.relu

    def constant(self, name: str, array: np.ndarray) -> Any:
        return self.tf.Variable(array, trainable=not name.endswith(BUFFERS))

    def gelu(self, x: Any) -> Any:
        return self.tf.nn.gelu(x)

    def hard_sigmoid(self, x: Any) -> Any:
        return self.tf.nn.relu6(x + 3) * (1 / 6)

    def hard_swish(self, x: Any) -> Any:
        return x * self.hard_sigmoid(x)

    def convolve(self, x: Any, w: Any, stride: int, padding: int, groups: int) -> Any:
        around = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
        if groups > 1:
            return self.tf.nn.depthwise_conv2d(x, w, [1, stride, stride, 1], around)
        return self.tf.nn.conv2d(x, w, stride, around)

    def normalized(self, x: Any, mean: Any, variance: Any, scale: Any, shift: Any, epsilon: float) -> Any:
        return self.tf.compat.v1.nn.fused_batch_norm(x, scale, shift, mean, variance, epsilon, is_training=False)[0]

    def batch_normalized(self, x: Any, scale: Any, shift: Any, epsilon: float) -> tuple[Any, Any, Any]:
        y, mean, variance = self.tf.compat.v1.nn.fused_batch_norm(x, scale, shift, epsilon=epsilon, is_training=True)
        count = int(np.prod(x.shape[:-1]))
        return y, mean, variance * ((count - 1) / count)  # it gives the unbiased one

    def max_pool(self, x: Any, size: int, stride: int, padding: int = 0) -> Any:
        around = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
        return self.tf.nn.max_pool2d(x, size, stride, around if padding else "VALID")

    def average(self, x: Any, keep: bool = False) -> Any:
        return self.tf.reduce_mean(x, (1, 2), keepdims=keep)

    def flatten(self, x: Any) -> Any:
        return self.tf.reshape(x, (x.shape[0], -1))

    def layer_norm(self, name: str, x: Any, epsilon: float = 1e-5) -> Any:
        mean, variance = self.tf.nn.moments(x, -1, keepdims=True)
        scale, shift = self.get(f"{name}.weight", (x.shape[-1],)), self.get(f"{name}.bias", (x.shape[-1],))
        return self.tf.nn.batch_normalization(x, mean, variance, shift, scale, epsilon)

    def embedding(self, name: str, tokens: Any, rows: int, size: int) -> Any:
        return self.tf.gather(self.get(f"{name}.weight", (rows, size)), tokens)

    def causal_attention(self, x: Any, heads: int) -> Any:
        tf, shape = self.tf, self.tf.shape(x)
        batch, time, size = shape[0], shape[1], x.shape[-1] // 3
        q, k, v = (tf.transpose(tf.reshape(part, (batch, time, heads, size // heads)), (0, 2, 1, 3)) for part in tf.split(x, 3, -1))
        scores = tf.matmul(q, k, transpose_b=True) * (size // heads) ** -0.5
        scores += (1 - tf.linalg.band_part(tf.ones((time, time)), -1, 0)) * -1e9
        mixed = tf.matmul(tf.nn.softmax(scores), v)
        return tf.reshape(tf.transpose(mixed, (0, 2, 1, 3)), (batch, time, size))

    def lstm(self, name: str, x: Any, hidden: int) -> Any:
        tf = self.tf
        w, u, b = self.lstm_weights(name, x.shape[-1], hidden)
        h = c = tf.zeros((x.shape[0], hidden))
        outputs = []
        for given in tf.unstack(x @ w + b, axis=1):  # unrolled: TensorFlow's own loop costs more
            i, f, g, o = tf.split(given + h @ u, 4, -1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
            outputs.append(h)
        return tf.stack(outputs, 1)

    def cross_entropy(self, logits: Any, targets: Any) -> Any:
        return self.tf.reduce_mean(self.tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))


@contextmanager
def standing_in(layers: Layers, **places: dict[str, Any]) -> Iterator[None]:
    """Traced values in the place of the arrays, for as long as JAX traces."""
    before = {name: getattr(layers, name) for name in places}
    for name, values in places.items():
        setattr(layers, name, values)
    try:
        yield
    finally:
        for name, values in before.items():
            setattr(layers, name, values)


def channels_last(array: np.ndarray) -> np.ndarray:
    """Images come as torch has them; everything else as it is."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array


def narrow(array: np.ndarray) -> np.ndarray:
    return array.astype(np.int32) if array.dtype == np.int64 else array


def training(forward: Forward, inputs: Inputs) -> dict[str, Setup]:
    """Forward, cross entropy of the output with the targets, gradients, Adam; all in one compiled function."""
    return {JAX: lambda case: _jax_training(forward, inputs), TENSORFLOW: lambda case: _tensorflow_training(forward, inputs)}


def inference(forward: Forward, inputs: Inputs) -> dict[str, Setup]:
    return {JAX: lambda case: _jax_inference(forward, inputs), TENSORFLOW: lambda case: _tensorflow_inference(forward, inputs)}


def _jax_training(forward: Forward, inputs: Inputs) -> Running:
    ops = JaxLayers()
    ops.train = True
    jax, np_ = ops.jax, ops.np
    x, y = (np_.asarray(narrow(channels_last(array))) for array in inputs())
    jax.eval_shape(lambda: forward(ops, x))  # its one effect: `ops` knows all weights
    parameters, buffers = (jax.tree.map(np_.asarray, values) for values in (ops.parameters, ops.buffers))
    moments = [jax.tree.map(np_.zeros_like, parameters) for _ in range(2)]

    def step(state: Any, x: Any, y: Any) -> Any:
        parameters, buffers, first, second, count = state

        def loss(parameters: Any) -> Any:
            ops.updates = {}
            with standing_in(ops, parameters=parameters, buffers=buffers):
                return ops.cross_entropy(forward(ops, x), y), ops.updates

        (value, updates), gradients = jax.value_and_grad(loss, has_aux=True)(parameters)
        count = count + 1
        first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradients)
        second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradients)
        rate, root = RATE / (1 - BETA1**count), np_.sqrt(1 - BETA2**count)
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (np_.sqrt(v) / root + EPSILON), parameters, first, second)
        return value, (parameters, {**buffers, **updates}, first, second, count)

    compiled = jax.jit(step, donate_argnums=0)
    state = [(parameters, buffers, *moments, np_.float32(0))]

    def run() -> Any:
        value, state[0] = compiled(state[0], x, y)
        jax.block_until_ready(state[0])
        return value

    return Running(run, lambda value: [np.asarray(value)])


def _jax_inference(forward: Forward, inputs: Inputs) -> Running:
    ops = JaxLayers()
    given = [ops.np.asarray(narrow(channels_last(array))) for array in inputs()]
    ops.jax.eval_shape(lambda: forward(ops, *given))
    parameters, buffers = (ops.jax.tree.map(ops.np.asarray, values) for values in (ops.parameters, ops.buffers))

    def run(parameters: Any, buffers: Any, *given: Any) -> Any:
        with standing_in(ops, parameters=parameters, buffers=buffers):
            return forward(ops, *given)

    compiled = ops.jax.jit(run)
    return Running(lambda: compiled(parameters, buffers, *given).block_until_ready(), lambda value: [np.asarray(value)])


def _tensorflow_ready(forward: Forward, inputs: Sequence[np.ndarray]) -> tuple[TensorFlowLayers, list[Any]]:
    ops = TensorFlowLayers()
    given = [ops.tf.constant(narrow(channels_last(array))) for array in inputs]
    forward(ops, *given)
    return ops, given


def _tensorflow_training(forward: Forward, inputs: Inputs) -> Running:
    x, y = inputs()
    ops, (x,) = _tensorflow_ready(forward, [x])
    tf = ops.tf
    y = tf.constant(narrow(y))
    ops.train = True
    variables = list(ops.parameters.values())
    moments = [(tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v))) for v in variables]
    powers = tf.Variable(BETA1), tf.Variable(BETA2)

    def step(x: Any, y: Any) -> Any:
        ops.updates = {}
        with tf.GradientTape() as tape:
            loss = ops.cross_entropy(forward(ops, x), y)
        for variable, gradient, (m, v) in zip(variables, tape.gradient(loss, variables), moments, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=m.handle, v=v.handle, beta1_power=powers[0], beta2_power=powers[1], lr=RATE, beta1=BETA1,
                beta2=BETA2, epsilon=EPSILON, grad=tf.convert_to_tensor(gradient), use_locking=False,
            )  # fmt: skip
        for name, value in ops.updates.items():
            ops.buffers[name].assign(value)
        powers[0].assign(powers[0] * BETA1)
        powers[1].assign(powers[1] * BETA2)
        return loss

    compiled = tf.function(step)
    return Running(lambda: compiled(x, y).numpy(), lambda value: [np.asarray(value)])


def _tensorflow_inference(forward: Forward, inputs: Inputs) -> Running:
    ops, given = _tensorflow_ready(forward, inputs())
    compiled = ops.tf.function(lambda *given: forward(ops, *given))
    return Running(lambda: compiled(*given).numpy(), lambda value: [np.asarray(value)])


Build = Callable[[str, Any, Any], tuple[Callable[..., Any], Sequence[np.ndarray]]]


def expression(build: Build) -> dict[str, Setup]:
    """`build(framework, module, payload)` gives a function of a case and its inputs; `module` is jax or tensorflow."""

    def with_jax(case: Case) -> Running:
        jax: Any = importlib.import_module("jax")
        function, inputs = build("jax", jax, case.payload)
        given, compiled = [jax.numpy.asarray(narrow(array)) for array in inputs], jax.jit(function)

        def numbers(value: Any) -> list[np.ndarray]:
            return [np.asarray(leaf) for leaf in jax.tree.leaves(value)]

        return Running(lambda: jax.block_until_ready(compiled(*given)), numbers)

    def with_tensorflow(case: Case) -> Running:
        tf: Any = importlib.import_module("tensorflow")
        function, inputs = build("tensorflow", tf, case.payload)
        given, compiled = [tf.constant(narrow(array)) for array in inputs], tf.function(function)

        def numbers(value: Any) -> list[np.ndarray]:
            return [np.asarray(leaf) for leaf in tf.nest.flatten(value)]

        return Running(lambda: compiled(*given), numbers)

    return {JAX: with_jax, TENSORFLOW: with_tensorflow}
