"""torch.autograd: gradients, custom Functions, modes."""

from monograph.autograd import forward_ad, functional, graph
from monograph.autograd.variable import Variable
from monograph.core.modes import detect_anomaly, enable_grad, inference_mode, no_grad, set_detect_anomaly, set_grad_enabled
from monograph.tensor.autograd import backward, grad
from monograph.tensor.function import Function, once_differentiable
from monograph.testing.gradients import gradcheck, gradgradcheck

__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "forward_ad", "functional", "grad",
    "gradcheck", "gradgradcheck", "graph", "inference_mode", "no_grad", "once_differentiable", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip
