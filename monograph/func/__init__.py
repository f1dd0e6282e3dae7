"""torch.func: derivatives and batching as transformations of functions. They nest in any order.

>>> import monograph as mg
>>> from monograph.func import grad, vmap
>>> vmap(grad(mg.sin))(mg.zeros(3)).tolist()
[1.0, 1.0, 1.0]
"""

from __future__ import annotations

from monograph.func.derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, value_and_grad, vjp
from monograph.func.linearize import linearize
from monograph.func.modules import debug_unwrap, functional_call, functionalize, replace_all_batch_norm_modules_, stack_module_state
from monograph.func.vmap import vmap

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "value_and_grad",
    "vjp",
    "vmap",
]
