"""torch.func: derivatives and batching as transformations of functions. They nest in any order.

>>> import monograph as mg
>>> from monograph.func import grad, vmap
>>> vmap(grad(mg.sin))(mg.zeros(3)).tolist()
[1.0, 1.0, 1.0]
"""

from __future__ import annotations

from monograph.func.derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, value_and_grad, vjp
from monograph.func.modules import functional_call, stack_module_state
from monograph.func.vmap import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "stack_module_state",
    "value_and_grad",
    "vjp",
    "vmap",
]
