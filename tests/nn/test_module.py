"""Module: registration, walking, state, hooks, copies, conversion."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest

import monograph as mg
from monograph import nn
from monograph.nn.modules.module import register_module_forward_hook


class Block(nn.Module):
    """A linear layer, a buffer and a plain attribute."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.lin = nn.Linear(width, width)
        self.scale = nn.Parameter(mg.ones(width))
        self.register_buffer("steps", mg.zeros(1))
        self.register_buffer("scratch", mg.zeros(2), persistent=False)
        self.width = width

    def forward(self, x):
        return self.lin(x) * self.scale


class Tree(nn.Module):
    """Two blocks, one of them shared under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Block()
        self.rest = nn.ModuleList([Block(), self.first])

    def forward(self, x):
        for block in self.rest:
            x = block(x)
        return x


# ---------------------------------------------------------------- registration


def test_assignment_registers() -> None:
    m = Block()
    assert [n for n, _ in m.named_parameters()] == ["scale", "lin.weight", "lin.bias"]
    assert [n for n, _ in m.named_buffers()] == ["steps", "scratch"]
    assert [n for n, _ in m.named_children()] == ["lin"]
    assert m.scale is m._parameters["scale"] and m.lin is m._modules["lin"] and m.steps is m._buffers["steps"]


def test_names_follow_the_tables() -> None:
    m = Block()
    new = nn.Parameter(mg.zeros(3))
    m._parameters["scale"] = new
    assert m.scale is new
    del m.lin
    assert not hasattr(m, "lin") and "lin" not in m._modules
    m.scale = None
    assert m.scale is None and "scale" in m._parameters and [n for n, _ in m.named_parameters()] == []


def test_a_name_changes_its_kind() -> None:
    m = Block()
    m.lin = nn.Parameter(mg.zeros(1))
    assert "lin" in m._parameters and "lin" not in m._modules
    m.width = nn.Linear(1, 1)
    assert "width" in m._modules
    m.steps = mg.ones(1)
    assert "steps" in m._buffers and m.steps.item() == 1
    m.extra = nn.Buffer(mg.zeros(1), persistent=False)
    assert "extra" in m._buffers and "extra" not in m.state_dict()


def test_wrong_assignments() -> None:
    m = Block()
    with pytest.raises(TypeError, match=r"cannot assign .* as parameter 'scale'"):
        m.scale = mg.zeros(3)
    with pytest.raises(TypeError, match=r"cannot assign .* as child module 'lin'"):
        m.lin = 3
    with pytest.raises(TypeError, match=r"cannot assign .* as buffer 'steps'"):
        m.steps = 3
    with pytest.raises(KeyError, match=r"already exists"):
        m.register_buffer("width", mg.zeros(1))
    with pytest.raises(KeyError, match=r'contain "[.]"'):
        m.register_parameter("a.b", nn.Parameter(mg.zeros(1)))
    with pytest.raises(TypeError, match=r"is not a Module subclass"):
        m.add_module("x", 3)
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'"):
        _ = m.nothing


def test_before_init() -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            self.lin = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Early()


def test_non_leaf_parameter_is_refused() -> None:
    m = Block()
    with pytest.raises((TypeError, ValueError)):
        m.register_parameter("p", mg.ones(1, requires_grad=True) * 2)


# ---------------------------------------------------------------- walking


def test_walking_sees_shared_modules_once() -> None:
    t = Tree()
    assert [n for n, _ in t.named_modules()] == ["", "first", "first.lin", "rest", "rest.0", "rest.0.lin"]
    assert len(list(t.parameters())) == 6
    assert [n for n, _ in t.named_parameters(remove_duplicate=False)][-1] == "rest.1.lin.bias"
    assert [n for n, _ in t.named_parameters(prefix="net", recurse=False)] == []


def test_paths() -> None:
    t = Tree()
    assert t.get_submodule("rest.0.lin") is t.rest[0].lin and t.get_submodule("") is t
    assert t.get_parameter("first.scale") is t.first.scale and t.get_buffer("first.steps") is t.first.steps
    t.set_submodule("rest.0.lin", nn.Identity())
    assert isinstance(t.rest[0].lin, nn.Identity)
    with pytest.raises(AttributeError, match=r"has no attribute `nope`"):
        t.get_submodule("first.nope")
    with pytest.raises(AttributeError, match=r"is not an nn.Module"):
        t.get_submodule("first.width")


def test_apply_goes_children_first() -> None:
    seen = []
    Tree().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "Block", "Linear", "Block", "Linear", "Block", "ModuleList", "Tree"]


# ---------------------------------------------------------------- state


def test_state_dict_shares_memory_and_keeps_order() -> None:
    m = Block()
    state = m.state_dict()
    assert list(state) == ["scale", "steps", "lin.weight", "lin.bias"]
    state["scale"].fill_(5)
    assert m.scale[0].item() == 5 and not state["scale"].requires_grad
    assert m.state_dict(keep_vars=True)["scale"] is m.scale
    assert next(iter(m.state_dict(prefix="a."))) == "a.scale"


def test_load_state_dict() -> None:
    a, b = Block(), Block()
    result = b.load_state_dict(a.state_dict())
    assert str(result) == "<All keys matched successfully>"
    assert mg.equal(a.lin.weight, b.lin.weight) and a.lin.weight is not b.lin.weight
    state = a.state_dict()
    del state["scale"]
    state["other"] = mg.zeros(1)
    with pytest.raises(RuntimeError) as caught:
        b.load_state_dict(state)
    text = str(caught.value)
    assert text.startswith("Error(s) in loading state_dict for Block:\n\t")
    assert 'Missing key(s) in state_dict: "scale"' in text and 'Unexpected key(s) in state_dict: "other"' in text
    result = b.load_state_dict(state, strict=False)
    assert result.missing_keys == ["scale"] and result.unexpected_keys == ["other"]
    with pytest.raises(RuntimeError, match=r"size mismatch for lin.weight: copying a param with shape"):
        b.load_state_dict(Block(4).state_dict())
    with pytest.raises(TypeError, match=r"Expected state_dict to be dict-like"):
        b.load_state_dict([1])


def test_load_with_assign_takes_tensors_over() -> None:
    m = Block()
    state = {k: v.clone() for k, v in m.state_dict().items()}
    state["scale"] = mg.full((3,), 2.0)
    m.load_state_dict(state, assign=True)
    assert isinstance(m.scale, nn.Parameter) and m.scale.requires_grad and m.scale[0].item() == 2


def test_extra_state_and_state_hooks() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = 3

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    a, b = Counting(), Counting()
    a.count = 7
    b.load_state_dict(a.state_dict())
    assert b.count == 7 and list(a.state_dict()) == ["_extra_state"]
    m, calls = Block(), []
    m.register_state_dict_pre_hook(lambda *args: calls.append("pre"))
    m.register_state_dict_post_hook(lambda module, state, prefix, meta: state.__delitem__("steps") if not prefix else None)
    assert "steps" not in m.state_dict() and calls == ["pre"]
    m.register_load_state_dict_pre_hook(lambda module, state, *rest: calls.append("load"))
    m.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    m.load_state_dict(m.state_dict())
    assert calls[-1] == "load"


# ---------------------------------------------------------------- modes, conversion, copies


def test_train_and_eval() -> None:
    t = Tree()
    assert t.eval() is t and not any(m.training for m in t.modules())
    t.train()
    assert all(m.training for m in t.modules())
    with pytest.raises(ValueError, match=r"training mode is expected to be boolean"):
        t.train(1)


def test_conversion_keeps_parameters() -> None:
    m = Block()
    weight = m.lin.weight
    m(mg.ones(2, 3)).sum().backward()
    assert m.double() is m and m.lin.weight is weight and weight.dtype is mg.float64 and weight.grad.dtype is mg.float64
    assert m.steps.dtype is mg.float64
    m.to(mg.float32)
    assert m(mg.ones(2, 3)).dtype is mg.float32
    with pytest.raises(TypeError, match=r"only accepts floating point"):
        m.to(mg.int64)
    assert m.to("cpu", mg.float64).scale.dtype is mg.float64
    assert next(m.half().parameters()).dtype is mg.float16


def test_deepcopy_and_pickle() -> None:
    t = Tree()
    other = copy.deepcopy(t)
    assert other.rest[1] is other.first and other.first is not t.first
    x = mg.randn(2, 3)
    assert mg.equal(t(x), other(x))
    other.first.lin.weight.data.fill_(0)
    assert not mg.equal(t(x), other(x))
    other.first._parameters["scale"] = nn.Parameter(mg.zeros(3))
    assert other.first.scale.sum().item() == 0
    assert mg.equal(pickle.loads(pickle.dumps(nn.Linear(2, 2)))(mg.ones(1, 2)) * 0, mg.zeros(1, 2))


def test_zero_grad_and_requires_grad() -> None:
    m = Block()
    m(mg.ones(1, 3)).sum().backward()
    m.zero_grad(set_to_none=False)
    assert m.scale.grad.abs().sum().item() == 0
    m.zero_grad()
    assert m.scale.grad is None
    m.requires_grad_(False)
    assert not m(mg.ones(1, 3)).requires_grad


# ---------------------------------------------------------------- hooks


def test_forward_hooks() -> None:
    m, calls = nn.Linear(2, 2), []
    handle = m.register_forward_pre_hook(lambda module, args: (args[0] * 0,))
    m.register_forward_hook(lambda module, args, out: calls.append(args[0].sum().item()))
    m.register_forward_hook(lambda module, args, out: out + 1)
    out = m(mg.ones(1, 2))
    assert calls == [0.0] and mg.allclose(out[0], m.bias + 1)
    handle.remove()
    handle.remove()
    assert m(mg.ones(1, 2)) is not None and calls[-1] == 2.0


def test_hooks_with_kwargs_order_and_always() -> None:
    class Takes(nn.Module):
        def forward(self, x, *, twice=False):
            if x is None:
                raise ValueError("nothing")
            return x * 2 if twice else x

    m, calls = Takes(), []
    m.register_forward_pre_hook(lambda module, args, kwargs: (args, {"twice": True}), with_kwargs=True)
    m.register_forward_hook(lambda module, args, kwargs, out: calls.append(kwargs["twice"]), with_kwargs=True)
    m.register_forward_hook(lambda module, args, out: calls.append("first"), prepend=True)
    m.register_forward_hook(lambda module, args, out: calls.append(("always", out)), always_call=True)
    assert m(mg.ones(1)).item() == 2 and calls[:2] == ["first", True]
    calls.clear()
    with pytest.raises(ValueError, match=r"nothing"):
        m(None)
    assert calls == [("always", None)]


def test_full_backward_hooks() -> None:
    m, seen = nn.Linear(2, 1, bias=False), []
    m.weight.data.copy_(mg.tensor([[2.0, 3.0]]))
    m.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    m.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append((grad_in[0].tolist(), grad_out[0].tolist())))
    x = mg.ones(1, 2, requires_grad=True)
    m(x).sum().backward()
    assert seen == [([[20.0, 30.0]], [[10.0]])] and x.grad.tolist() == [[20.0, 30.0]]
    replacing = nn.Linear(2, 1)
    replacing.register_full_backward_hook(lambda module, grad_in, grad_out: (grad_in[0] * 0,))
    x.grad = None
    replacing(x).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0]]


def test_backward_hook_without_input_gradient() -> None:
    m, seen = nn.Linear(2, 1), []
    m.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append((grad_in, grad_out[0].item())))
    m(mg.ones(1, 2)).sum().backward()
    assert seen == [((None,), 1.0)]


def test_hooks_of_all_modules() -> None:
    names = []
    with register_module_forward_hook(lambda module, args, out: names.append(type(module).__name__)):
        nn.Sequential(nn.Linear(2, 2), nn.ReLU())(mg.ones(1, 2))
    nn.ReLU()(mg.ones(1))
    assert names == ["Linear", "ReLU", "Sequential"]


# ---------------------------------------------------------------- containers and text


def test_sequential() -> None:
    s = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert len(s) == 3 and isinstance(s[-1], nn.Linear) and [type(m) for m in s[:2]] == [nn.Linear, nn.ReLU]
    s.append(nn.Tanh()).insert(0, nn.Identity())
    assert [n for n, _ in s.named_children()] == ["0", "1", "2", "3", "4"]
    del s[0]
    assert isinstance(s[0], nn.Linear) and next(iter(s.state_dict())) == "0.weight"
    assert isinstance(s.pop(-1), nn.Tanh) and len(s + nn.Sequential(nn.ReLU())) == 4
    with pytest.raises(IndexError, match=r"out of range"):
        s[7]
    named = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))
    assert named.b is named[1]


def test_module_list_and_dict() -> None:
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    layers.insert(1, nn.ReLU())
    layers += [nn.Tanh()]
    assert [type(m).__name__ for m in layers] == ["Linear", "ReLU", "Linear", "Linear", "Tanh"]
    assert repr(nn.ModuleList([nn.ReLU(), nn.ReLU()])) == "ModuleList(\n  (0-1): 2 x ReLU()\n)"
    table = nn.ModuleDict({"a": nn.ReLU()})
    table["b"] = nn.Linear(1, 1)
    assert "b" in table and list(table.keys()) == ["a", "b"] and isinstance(table.pop("a"), nn.ReLU) and len(table) == 1


def test_parameter_containers() -> None:
    values = nn.ParameterList([mg.zeros(2), nn.Parameter(mg.ones(1))])
    values.append(mg.ones(3))
    assert [tuple(p.shape) for p in values.parameters()] == [(2,), (1,), (3,)] and isinstance(values[0], nn.Parameter)
    table = nn.ParameterDict({"w": mg.zeros(2)})
    table["b"] = mg.ones(1)
    assert list(table.state_dict()) == ["w", "b"] and table.pop("w").shape == (2,) and len(table) == 1


def test_repr() -> None:
    assert repr(Block()) == "Block(\n  (lin): Linear(in_features=3, out_features=3, bias=True)\n)"
    assert repr(nn.Sequential(nn.Sequential(nn.ReLU()))) == "Sequential(\n  (0): Sequential(\n    (0): ReLU()\n  )\n)"
    assert repr(nn.Parameter(mg.zeros(1))) == "Parameter containing:\ntensor([0.], requires_grad=True)"
    assert repr(nn.Module()) == "Module()"
