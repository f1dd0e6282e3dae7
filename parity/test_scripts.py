"""Other people's training scripts, with nothing changed but their import lines, follow torch's losses from the same weights."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import monograph as mg

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
STEPS = 20
RELATIVE = 1e-3


def with_imports_of_monograph(text: str) -> str:
    """The script with its import lines, and nothing else, turned towards monograph."""
    text = re.sub(r"^import torch$", "import monograph as torch", text, flags=re.MULTILINE)
    return re.sub(r"^(import|from) torch\b", r"\1 monograph", text, flags=re.MULTILINE)


def loaded(name: str, text: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = name
    sys.modules[name] = module    # where dataclasses look up the names of annotations
    exec(compile(text, name, "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_losses_follow_torch(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    changed = with_imports_of_monograph(text)
    imports = re.findall(r"^(?:import|from) torch", text, re.MULTILINE)
    assert sum(a != b for a, b in zip(text.splitlines(), changed.splitlines(), strict=True)) == len(imports)

    theirs, ours = loaded(f"{script.stem}_torch", text), loaded(f"{script.stem}_monograph", changed)
    their_model, our_model = theirs.make_model(), ours.make_model()
    weights = {name: value.detach().numpy().copy() for name, value in their_model.state_dict().items()}
    assert list(our_model.state_dict()) == list(weights), "state_dict names or order differ"
    our_model.load_state_dict({name: mg.from_numpy(value) if value.ndim else mg.tensor(value.item()) for name, value in weights.items()})

    their_losses, our_losses = theirs.train(their_model, STEPS), ours.train(our_model, STEPS)
    assert all(isinstance(loss, float) for loss in our_losses)
    print("\n".join(f"{i:2d}  torch {a:.6f}  monograph {b:.6f}" for i, (a, b) in enumerate(zip(their_losses, our_losses, strict=True))))
    np.testing.assert_allclose(our_losses, their_losses, rtol=RELATIVE)
    assert their_losses[STEPS - 1] < their_losses[0], "the script does not learn, so the comparison says little"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_weights_go_back_to_torch(script: Path) -> None:
    """What monograph initialises has torch's names, shapes, dtypes and spread."""
    text = script.read_text(encoding="utf-8")
    theirs = loaded(f"{script.stem}_torch", text).make_model()
    ours = loaded(f"{script.stem}_monograph", with_imports_of_monograph(text)).make_model()
    state = {name: torch.from_numpy(np.array(value.detach().numpy())) for name, value in ours.state_dict().items()}
    for name, value in theirs.state_dict().items():
        assert state[name].dtype == value.dtype and state[name].shape == value.shape, name
        if value.numel() > 256 and value.is_floating_point() and value.std() > 0:
            assert 0.8 < float(state[name].std() / value.std()) < 1.25, f"{name} is initialised with another spread"
    theirs.load_state_dict(state)
