"""Which module of ours answers to which path below `torch`. A path that is not here is looked for below `monograph` itself."""

from __future__ import annotations

ROOM = "monograph.compat."

# Paths that have a module of their own here.
MODULES = {
    "cuda": "cuda", "cuda.amp": "cuda.amp", "cuda.nvtx": "cuda.nvtx", "cuda.memory": "cuda.memory", "cuda.random": "cuda.random",
    "accelerator": "accelerator", "mps": "mps", "xpu": "xpu", "cpu": "cpu", "backends": "backends", "jit": "jit",
    "jit.annotations": "jit.types_for_scripting",
    "fx": "fx", "fx.node": "fx.node", "fx.proxy": "fx.proxy", "fx.graph": "fx.graph", "fx.graph_module": "fx.graph_module", "onnx": "onnx",
    "__config__": "build_config", "futures": "futures", "classes": "classes.classes", "_tensor_str": "tensor_str",
    "distributed.rpc": "rpc",
    "ao": "ao", "ao.quantization": "ao.quantization", "quantization": "ao.quantization",
    **{f"onnx.{name}": f"onnx.{name}" for name in ("symbolic_helper", "operators", "symbolic_opset9", "symbolic_opset11")},
    "compiler": "compiler", "_dynamo": "dynamo", "_dynamo.utils": "dynamo.utils", "_dynamo.eval_frame": "dynamo.eval_frame",
    "_dynamo._trace_wrapped_higher_order_op": "dynamo._trace_wrapped_higher_order_op",
    "_higher_order_ops": "higher_order", "_higher_order_ops.associative_scan": "higher_order.scan_module",
    "distributed.device_mesh": "device_mesh", "distributed.tensor": "sharding",
    **{f"distributed.tensor.{name}": f"sharding.{name}" for name in ("placement_types", "parallel")},
    "distributed": "distributed", "distributed.fsdp": "fsdp",
    "nn.attention.flex_attention": "flex_attention",
    "multiprocessing": "multiprocessing", "hub": "hub", "version": "version", "types": "types",
    "overrides": "overrides", "library": "library", "_ops": "operators", "ops": "operators.ops", "_custom_ops": "library",
    "_C": "bindings", "utils._pytree": "pytree", "utils.cpp_extension": "cpp_extension",
    **{f"backends.{name}": f"backends.{name}" for name in ("cudnn", "cuda", "mps", "mkl", "mkldnn", "openmp", "nnpack", "opt_einsum",
    "quantized", "cpu")},
}  # fmt: skip

# Paths whose names live in rooms of ours, the first that has the name.
FORWARDS: dict[str, tuple[str, ...]] = {
    "nn.modules": ("nn",),
    "autograd.profiler": ("profiler",),
    "autograd.profiler_legacy": ("profiler",),
    "nn.grad": ("nn.functional",),
    "nn.parallel": ("nn",),
    **{
        f"nn.parallel.{name}": ("nn.parallel",)
        for name in "_functions data_parallel distributed replicate scatter_gather parallel_apply".split()
    },
    "nn.modules.module": ("nn.module", "nn"),
    "nn.modules.utils": ("nn.functional.conv", "nn"),
    "nn.utils.clip_grad": ("nn.utils.clip_grad", "nn.utils"),
    "nn.utils.stateless": ("func.modules",),
    "autograd.function": ("autograd",),
    "nn.modules.lazy": ("nn.lazy", "nn"),
    "autograd.variable": ("autograd",),
    "autograd.grad_mode": ("autograd",),
    "cpu.amp": ("amp",),
    "amp.autocast_mode": ("amp",),
    "amp.grad_scaler": ("amp",),
    "utils.hooks": ("nn.hooks", "nn"),
    "utils.model_zoo": ("compat.hub",),
    "utils.data.dataloader": ("data.loader", "data.collate", "data"),
    "utils.data.dataset": ("data.dataset", "data"),
    "utils.data.sampler": ("data.sampler", "data"),
    "utils.data.distributed": ("data.sampler", "data"),
    "utils.data._utils": ("data",),
    "utils.data._utils.collate": ("data.collate", "data"),
    "utils.data.datapipes": ("data",),
    "optim.optimizer": ("optim.optimizer", "optim"),
    "optim.swa_utils": ("utils.averaging",),
    "_tensor": ("tensor",),
    "functional": ("tensor",),
    **{
        f"distributions.{name}": ("distributions",)
        for name in (
            "bernoulli beta binomial categorical cauchy chi2 continuous_bernoulli dirichlet distribution exponential exp_family "
            "fishersnedecor gamma "
            "geometric gumbel half_cauchy half_normal independent inverse_gamma kumaraswamy laplace lkj_cholesky log_normal "
            "logistic_normal "
            "lowrank_multivariate_normal mixture_same_family multinomial multivariate_normal negative_binomial normal "
            "one_hot_categorical pareto poisson "
            "relaxed_bernoulli relaxed_categorical studentT transformed_distribution uniform von_mises weibull wishart"
        ).split()
    },
    "distributions.utils": ("distributions.parameters",),
    "optim.adamw": ("optim.adam", "optim"),
    "nn.utils.convert_parameters": ("nn.utils.convert", "nn.utils"),
    "nn.modules.adaptive": ("nn.adaptive_softmax", "nn"),
    "torch_version": ("compat.version",),
    "_jit_internal": ("compat.jit",),
    "utils.file_baton": ("compat.cpp_extension",),
    "storage": ("tensor",),
    "_utils": ("nn.parameter", "compat.flattened"),
}

# Rooms of ours that torch does not have, or has under the same name with another meaning.
HIDDEN = frozenset("autodiff cli compat core data engine graph ops passes runtime targets tensor".split())

# Names at torch's top that live in rooms of ours under the same name.
TOP = frozenset(name for name in MODULES if "." not in name and name not in HIDDEN)
