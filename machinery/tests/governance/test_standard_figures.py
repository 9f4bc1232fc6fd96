"""Standard figures are computed beside score(), on parts of the rows where they mean something."""

import numpy as np
from sklearn import metrics

from rung_ops.governance import standard_figures


def _auc(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    if len(np.unique(truth)) < 2:
        raise ValueError("one class has no curve")
    return {"auc": float(metrics.roc_auc_score(truth, predicted))}


def test_a_half_of_the_rows_without_both_classes_is_left_out() -> None:
    truth = np.tile([0, 0], 20)
    truth[::8] = 1  # each in the first half
    predicted = np.linspace(0, 1, len(truth))

    assert list(standard_figures.differences(_auc, truth, predicted)) == []


def test_a_figure_that_is_false_on_a_half_alone_is_named() -> None:
    truth = np.tile([0, 1, 1, 0], 10)
    predicted = np.linspace(0, 1, len(truth))
    whole = len(truth)

    def score(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return _auc(truth, predicted) if len(truth) == whole else {"auc": 0.99}

    (difference,) = standard_figures.differences(score, truth, predicted)
    assert difference.startswith("score() in model.py says auc 0.99, and it is ")
