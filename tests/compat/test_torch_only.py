"""torch's names for what is not here: the answers and errors of a build without GPUs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn


def test_devices_that_are_not_here() -> None:
    assert not mg.cuda.is_available() and mg.cuda.device_count() == 0 and not mg.mps.is_available() and not mg.xpu.is_available()
    assert mg.accelerator.current_accelerator() is None and not mg.accelerator.is_available()
    assert mg.cuda.manual_seed_all(1) is None and mg.cuda.empty_cache() is None and mg.cuda.max_memory_allocated() == 0
    for call in (mg.cuda.current_device, mg.cuda.synchronize, lambda: mg.cuda.get_device_properties(0), lambda: mg.cuda.set_device(0)):
        with pytest.raises(AssertionError, match="not compiled with CUDA"):
            call()
    for call in (mg.accelerator.synchronize, mg.accelerator.current_device_index):
        with pytest.raises(RuntimeError, match="none is available"):
            call()
    with pytest.raises(RuntimeError, match="requires CUDA support"):
        mg.cuda.Stream()
    with pytest.raises(TypeError, match=r"torch\.cuda\.FloatTensor not available"):
        mg.cuda.FloatTensor(2)
    assert issubclass(mg.cuda.OutOfMemoryError, RuntimeError) and mg.cpu.is_available()
    with mg.cuda.device(None), mg.cuda.stream(None):
        pass


def test_flags_can_be_assigned() -> None:
    assert not mg.backends.cudnn.benchmark
    mg.backends.cudnn.benchmark = True
    with mg.backends.cudnn.flags(enabled=False, benchmark=False):
        assert not mg.backends.cudnn.enabled
    assert mg.backends.cudnn.enabled and mg.backends.cudnn.benchmark
    mg.backends.cudnn.benchmark = False
    mg.backends.cuda.matmul.allow_tf32 = True
    mg.backends.cuda.enable_flash_sdp(False)
    assert not mg.backends.cuda.flash_sdp_enabled()
    mg.backends.cuda.enable_flash_sdp(True)
    assert not mg.backends.mps.is_available() and not mg.backends.cuda.is_built()
    mg.set_float32_matmul_precision("high")
    assert mg.get_float32_matmul_precision() == "high"
    mg.set_float32_matmul_precision("highest")
    with pytest.raises(RuntimeError, match="not one of"):
        mg.set_float32_matmul_precision("low")
    mg.use_deterministic_algorithms(True, warn_only=True)
    assert mg.are_deterministic_algorithms_enabled() and mg.get_deterministic_debug_mode() == 1
    mg.use_deterministic_algorithms(False)


def test_old_constructors() -> None:
    assert mg.Tensor(3, 4).shape == (3, 4) and mg.Tensor([1, 2]).dtype is mg.float32 and mg.Tensor().shape == (0,)
    assert mg.Tensor(mg.ones(2, dtype=mg.int64)).dtype is mg.int64 and mg.Tensor(mg.Size([2, 3])).shape == (2, 3)
    assert (
        mg.LongTensor([1.5, 2]).tolist() == [1, 2]
        and mg.ByteTensor(2).dtype is mg.uint8
        and mg.BoolTensor([1, 0]).tolist() == [True, False]
    )
    assert isinstance(mg.ones(2), mg.FloatTensor) and not isinstance(mg.ones(2), mg.LongTensor) and mg.FloatTensor.__name__ == "FloatTensor"
    assert mg.FloatTensor(np.ones(2)).dtype is mg.float32
    with pytest.raises(TypeError, match="must be a sequence"):
        mg.Tensor(2.5)
    with pytest.raises(TypeError, match="takes a tensor of dtype int64"):
        mg.LongTensor(mg.ones(2))
    with pytest.raises(RuntimeError, match="without overflow"):
        mg.ByteTensor([300])
    mg.set_default_tensor_type("torch.DoubleTensor")
    assert mg.ones(1).dtype is mg.float64
    mg.set_default_tensor_type(mg.FloatTensor)
    assert mg.typename(mg.ones(1)) == "torch.FloatTensor" and mg.ones(1).layout is mg.strided
    assert pickle.loads(pickle.dumps(mg.channels_last)) is mg.channels_last


def test_jit_keeps_the_python() -> None:
    @mg.jit.script
    def f(x: Any) -> Any:
        return x + 1 if x.sum() > 0 else x

    layer = nn.Linear(2, 2)
    assert f(mg.ones(1)).item() == 2 and mg.jit.script(layer) is layer and mg.jit.trace(layer, mg.ones(1, 2)) is layer
    assert not mg.jit.is_scripting() and not mg.jit.is_tracing() and mg.jit.annotate(int, 3) == 3
    assert (
        mg.jit.ignore(f) is f
        and mg.jit.ignore(drop=True)(f) is f
        and mg.jit.unused(f) is f
        and mg.jit.wait(mg.jit.fork(f, mg.ones(1))).item() == 2
    )
    with pytest.raises(NotImplementedError, match="state_dict"):
        mg.jit.save(layer, "x.pt")
    with pytest.raises(RuntimeError, match="eval mode"):
        mg.jit.freeze(layer)


def test_compiler_directions_are_optional() -> None:
    def f(x: Any) -> Any:
        return x

    assert mg.compiler.disable(f) is f and mg.compiler.disable(recursive=False)(f) is f and not mg.compiler.is_compiling()
    mg._dynamo.config.suppress_errors = True
    assert mg._dynamo.config.suppress_errors and mg._dynamo.config.anything is None
    mg._dynamo.reset()


def test_a_world_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    dist = mg.distributed
    assert not dist.is_available() and not dist.is_initialized()
    with pytest.raises(ValueError, match="has not been initialized"):
        dist.get_rank()
    dist.init_process_group("nccl", rank=0, world_size=1)
    t = mg.ones(2)
    dist.all_reduce(t, op=dist.ReduceOp.SUM)
    places = [mg.zeros(2)]
    dist.all_gather(places, t)
    dist.barrier()
    assert (dist.get_rank(), dist.get_world_size(), t.tolist(), places[0].tolist()) == (0, 1, [1, 1], [1, 1])
    assert nn.parallel.DistributedDataParallel(nn.Linear(2, 1)).state_dict().keys() == {"module.weight", "module.bias"}
    dist.destroy_process_group()
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(RuntimeError, match="4 were asked for"):
        dist.init_process_group()


def test_paths_of_data_parallel() -> None:
    with mg.as_torch():
        import torch
        from torch.nn.parallel import DataParallel, replicate
        from torch.nn.parallel._functions import Broadcast, ReduceAddCoalesced
        from torch.nn.parallel.data_parallel import DataParallel as Same
        from torch.nn.parallel.data_parallel import data_parallel
        from torch.nn.parallel.scatter_gather import scatter
    assert DataParallel is Same is nn.DataParallel
    layer, one = nn.Linear(1, 1, bias=False), mg.ones(1, 1)
    assert data_parallel(layer, one).item() == layer.weight.item()
    assert torch.nn.parallel.data_parallel(layer, one).item() == layer.weight.item()  # the module of that path is the function, too
    assert torch.nn.parallel.parallel_apply([layer], [one])[0].item() == layer.weight.item()
    for refused in (lambda: Broadcast.apply([0], one), lambda: ReduceAddCoalesced.apply(0, 1, one), lambda: scatter(one, [0])):
        with pytest.raises(AssertionError, match="not implemented for CPU tensors"):
            refused()
    with pytest.raises(AssertionError, match="call the module itself"):
        replicate(layer, [0, 1])
    with pytest.raises(TypeError, match="cannot be called"):
        torch.nn.parallel.scatter_gather()


def test_pytree() -> None:
    from monograph.utils import _pytree as pytree

    tree = {"a": [1, (2, 3)], "b": None}
    leaves, spec = pytree.tree_flatten(tree)
    assert leaves == [1, 2, 3, None] and spec.num_leaves == 4 and pytree.tree_unflatten(leaves, spec) == tree
    assert pytree.tree_map(lambda x, y: (x or 0) + (y or 0), tree, tree) == {"a": [2, (4, 6)], "b": 0}
    assert pytree.tree_map_only(int, str, [1, "x"]) == ["1", "x"]
    with pytest.raises(ValueError, match="length 1"):
        pytree.tree_unflatten([1], spec)


def test_hub_reads_what_is_there(tmp_path: Path) -> None:
    mg.save({"w": mg.ones(2)}, tmp_path / "w.pt")
    url = (tmp_path / "w.pt").as_uri()
    state = mg.hub.load_state_dict_from_url(url, model_dir=str(tmp_path / "cache"), progress=False)
    assert state["w"].tolist() == [1, 1] and (tmp_path / "cache" / "w.pt").exists()
    with pytest.raises(OSError, match="put the file at"):
        mg.hub.load_state_dict_from_url((tmp_path / "none.pt").as_uri(), model_dir=str(tmp_path / "cache"))
    with pytest.raises(RuntimeError, match="invalid hash"):
        mg.hub.download_url_to_file(url, str(tmp_path / "x.pt"), hash_prefix="00ff", progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "w.pt"]
    with pytest.raises(NotImplementedError, match="runs code"):
        mg.hub.load("a/b", "c")


def test_a_mesh_of_one_process() -> None:
    dist = mg.distributed
    mesh = dist.init_device_mesh("cpu", (1, 1), mesh_dim_names=("data", "model"))
    try:
        assert (mesh.shape, mesh.size(), mesh["model"].ndim, mesh.get_coordinate()) == ((1, 1), 1, 1, [0, 0])
        assert isinstance(mesh, dist.device_mesh.DeviceMesh) and dist.is_initialized()
        with pytest.raises(KeyError, match="pipeline"):
            mesh["pipeline"]
        with pytest.raises(RuntimeError, match="one process"):
            dist.init_device_mesh("cpu", (2,))
    finally:
        dist.destroy_process_group()


def test_nothing_is_distributed() -> None:
    from monograph.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

    assert Shard(1).is_shard(1) and not Shard(1).is_shard(0) and Replicate().is_replicate() and Partial().is_partial("sum")
    assert Shard(0) == Shard(0) and not isinstance(mg.ones(2), DTensor)
    with pytest.raises(NotImplementedError, match="one process"):
        distribute_tensor(mg.ones(2))


def test_associative_scan() -> None:
    from monograph._higher_order_ops.associative_scan import associative_scan

    a, b = mg.tensor([0.5, 2.0, 1.0, 3.0, 0.25]), mg.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    _, h = associative_scan(lambda left, right: (left[0] * right[0], right[0] * left[1] + right[1]), (a, b), 0)
    state, wanted = 0.0, []
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        state = x * state + y
        wanted.append(state)
    assert h.tolist() == pytest.approx(wanted)
    assert associative_scan(lambda x, y: x + y, mg.arange(4), 0, reverse=True).tolist() == [6, 6, 5, 3]
    with pytest.raises(ValueError, match="Combine_mode"):
        associative_scan(lambda x, y: x, a, 0, combine_mode="serial")


def test_a_tensor_takes_the_type_that_an_old_constructor_names() -> None:
    x = mg.ones(2)
    assert x.type(mg.DoubleTensor).dtype is mg.float64 and x.type(dtype=mg.IntTensor).dtype is mg.int32
    assert x.type("torch.LongTensor").dtype is mg.int64 and x.type("torch.ComplexFloatTensor").dtype is mg.complex64
    assert x.type(mg.Tensor) is x and x.type("torch.Tensor") is x and x.type(mg.bool).type() == "torch.BoolTensor"
    with pytest.raises(ValueError, match="invalid type: 'FloatTensor'"):
        x.type("FloatTensor")
    with pytest.raises(TypeError, match="dtype must be a type, str, or dtype object"):
        x.type(3)
    with pytest.raises(RuntimeError, match=r"write torch\.FloatTensor"):
        x.type(mg.cuda.FloatTensor)


def test_variables_of_old_programs_are_tensors() -> None:
    variable = mg.autograd.Variable
    x = mg.ones(2)
    v = variable(x, requires_grad=True)
    assert v.requires_grad and not x.requires_grad and v.data_ptr() == x.data_ptr() and type(v) is mg.Tensor
    (v * v).sum().backward()
    assert v.grad.tolist() == [2.0, 2.0] and not variable(v * 2).requires_grad and variable().shape == (0,)
    assert isinstance(x, variable) and isinstance(mg.nn.Parameter(x), variable) and issubclass(mg.Tensor, variable)
    with pytest.raises(TypeError, match="has to be a tensor, but got float"):
        variable(3.0)
    with pytest.raises(RuntimeError, match="floating point"):
        variable(mg.ones(2, dtype=mg.int64), requires_grad=True)
    with pytest.warns(UserWarning, match="volatile was removed"):
        variable(x, volatile=True)


def test_to_reads_what_stands_in_its_places() -> None:
    x = mg.ones(2)
    assert x.to(None) is x and x.to(mg.float32, False) is x and x.to("cpu", mg.float32, False, True) is not x
    with pytest.raises(TypeError, match="takes a dtype, a device or a tensor"):
        x.to(mg.FloatTensor)


def test_extensions_in_other_languages_are_refused_as_on_a_machine_without_tools() -> None:
    from monograph.compat import cpp_extension as cpp

    with pytest.raises(RuntimeError, match="no extensions in C"):
        cpp.load("x", ["x.cpp"])
    with pytest.raises(OSError, match="CUDA_HOME"):
        cpp.load("x", ["x.cpp", "x.cu"])
    with pytest.raises(OSError, match="CUDA_HOME"):
        cpp.load_inline("x", "", cuda_sources=["..."])
    with pytest.raises(RuntimeError, match="Ninja"):
        cpp.verify_ninja_availability()
    assert cpp.CUDA_HOME is None and not cpp.is_ninja_available() and cpp.include_paths() == []
