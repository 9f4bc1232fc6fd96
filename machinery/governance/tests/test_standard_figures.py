"""Standard figures are computed beside score(), on parts of the rows where they mean something."""

import numpy as np
import pytest
from sklearn import metrics

from rung_governance.approval import gate
from rung_ops.model.target import Kind


def _auc(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    if len(np.unique(truth)) < 2:
        raise ValueError("one class has no curve")
    return {"auc": float(metrics.roc_auc_score(truth, predicted))}


def test_a_half_of_the_rows_without_both_classes_is_left_out() -> None:
    truth = np.tile([0, 0], 20)
    truth[::8] = 1  # each in the first half
    predicted = np.linspace(0, 1, len(truth))
    assert list(gate.misnamed_figures(_auc, truth, predicted)) == []


def test_a_figure_that_is_false_on_a_half_alone_is_named() -> None:
    truth = np.tile([0, 1, 1, 0], 10)
    predicted = np.linspace(0, 1, len(truth))
    whole = len(truth)

    def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return _auc(truth, predicted) if len(truth) == whole else {"auc": 0.99}

    (difference,) = gate.misnamed_figures(score, truth, predicted)
    assert difference.startswith("score() in model.py says auc 0.99, and it is ")


KIND = Kind(("a", "b", "c"))
DRAWN = np.random.default_rng(3)
TRUTH, PROBABILITIES = DRAWN.integers(0, 3, 60), DRAWN.dirichlet([1, 1, 1], 60)


def _of_classes(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    one_hot = np.eye(3)[truth]
    own = np.take_along_axis(predicted, truth[:, None], axis=1)
    return {
        "brier": float(((predicted - one_hot) ** 2).sum(axis=1).mean()),
        "log_loss": float(-np.log(own).mean()),
        "accuracy": float((predicted.argmax(axis=1) == truth).mean()),
        "auc": 0.99,  # which may be averaged over classes in several ways: a custom figure
    }


def test_figures_of_several_classes_are_those_of_their_names() -> None:
    assert list(gate.misnamed_figures(_of_classes, TRUTH, PROBABILITIES, KIND)) == []


@pytest.mark.parametrize("name", ["brier", "log_loss", "accuracy"])
def test_a_figure_of_several_classes_that_is_false_is_named(name: str) -> None:
    def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return _of_classes(truth, predicted) | {name: 0.123}

    (difference,) = gate.misnamed_figures(score, TRUTH, PROBABILITIES, KIND)

    assert difference.startswith(f"score() in model.py says {name} 0.123, and it is ")


def test_of_several_classes_another_figure_decides_only_within_a_bound() -> None:
    assert list(gate.unbounded_figure("brier", [], KIND)) == []
    assert list(gate.unbounded_figure("auc", ["auc"], KIND)) == []
    assert len(list(gate.unbounded_figure("auc", [], KIND))) == 1


def test_no_figure_of_quantiles_has_one_meaning() -> None:
    kind = Kind((), (0.1, 0.5, 0.9))
    three = np.sort(DRAWN.random((60, 3)), axis=1)
    assert list(gate.misnamed_figures(lambda *_: {"mae": 0.1}, TRUTH, three, kind)) == []
    assert len(list(gate.unbounded_figure("mae", [], kind))) == 1
