"""Heavy kernel templates: matrix multiplication, convolution, pooling. Planners give kernel calls; see README.md."""

from __future__ import annotations

from monograph.targets.llvm.kernels.call import BufferRef, ConstBuffer, KernelCall, KernelSource, Machine, TempBuffer, flops, traffic
from monograph.targets.llvm.kernels.conv_geometry import ConvShape
from monograph.targets.llvm.kernels.conv_plan import ConvSpec, plan_conv_backward_input, plan_conv_forward
from monograph.targets.llvm.kernels.conv_weight_plan import plan_conv_backward_weight
from monograph.targets.llvm.kernels.epilogue import Epilogue, EpilogueOperand
from monograph.targets.llvm.kernels.gemm import GemmSpec
from monograph.targets.llvm.kernels.gemm_plan import Matrix, plan_gemm
from monograph.targets.llvm.kernels.pool import plan_avg_pool, plan_avg_pool_backward, plan_max_pool, plan_max_pool_backward
from monograph.targets.llvm.kernels.pool_shape import PoolShape

__all__ = [
    "BufferRef", "ConstBuffer", "ConvShape", "ConvSpec", "Epilogue", "EpilogueOperand", "GemmSpec", "KernelCall", "KernelSource", "Machine",
    "Matrix", "PoolShape", "TempBuffer", "flops", "plan_avg_pool", "plan_avg_pool_backward", "plan_conv_backward_input",
    "plan_conv_backward_weight", "plan_conv_forward", "plan_gemm", "plan_max_pool", "plan_max_pool_backward", "traffic",
]  # fmt: skip
