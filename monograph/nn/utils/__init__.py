"""torch.nn.utils: limits on gradients, vectors of parameters, sequences of different lengths, weight and spectral norm."""

from monograph.nn.utils import rnn
from monograph.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from monograph.nn.utils.convert import parameters_to_vector, vector_to_parameters
from monograph.nn.utils.reparametrize import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]
