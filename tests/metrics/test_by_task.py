"""`Accuracy(task=...)` and its kin: which class they make, and what they let go."""

from __future__ import annotations

import pytest

from monograph import metrics
from monograph.metrics.counting import ByTask

FAMILIES = [name for name in metrics.__all__ if isinstance(getattr(metrics, name), ByTask)]
SIZES = {"num_classes": 3, "num_labels": 3}
SETTINGS = {**SIZES, "average": "macro", "threshold": 0.5, "top_k": 1, "ignore_index": None, "validate_args": False}


@pytest.mark.parametrize("name", FAMILIES)
def test_each_task_takes_its_settings_and_lets_others_go(name) -> None:
    family = getattr(metrics, name)
    for task, kind in family.kinds.items():
        if kind is None:
            with pytest.raises(ValueError, match=f"{name}: task must be one of"):
                family(task=task)
            continue
        beta = {"beta": 0.5} if name == "FBetaScore" else {}
        assert type(family(task=task, **SIZES, **beta)) is kind
        if task != "binary" and not beta:
            with pytest.raises(ValueError, match="needs num_"):
                family(task=task)
    with pytest.raises(TypeError):
        family(task=next(t for t, k in family.kinds.items() if k), **SIZES, **beta, colour="red")


@pytest.mark.parametrize("name", ["Accuracy", "Precision", "Recall", "F1Score", "Specificity", "FBetaScore"])
def test_a_script_that_chooses_its_task_at_run_time(name) -> None:
    beta = {"beta": 2.0} if name == "FBetaScore" else {}
    for task in ("binary", "multiclass", "multilabel"):
        getattr(metrics, name)(task=task, **SETTINGS, **beta)
