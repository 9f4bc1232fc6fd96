"""Groups are compared honestly: small ones and undefined rates are named, not hidden."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.projects import moved
from rung_governance.approval import fairness
from rung_governance.approval.fairness import (
    CLASSIFICATION,
    assess,
    compare,
    groups,
    table,
)
from rung_governance.documents import explain
from rung_ops import contract
from rung_ops.errors import SettingsError, StageError


def test_rates_are_those_counted_by_hand() -> None:
    truth = np.array([1, 1, 0, 0, 1, 0, 0, 0])
    chosen = np.array([1, 0, 1, 0, 1, 0, 0, 0])
    group = np.array(["a"] * 4 + ["b"] * 4)

    comparison, notes = compare(truth, chosen, group, 1, CLASSIFICATION)

    assert comparison["values"]["a"]["selection_rate"] == 0.5
    assert comparison["values"]["a"]["true_positive_rate"] == 0.5
    assert comparison["values"]["a"]["false_positive_rate"] == 0.5
    assert comparison["differences"] == {
        "selection_rate": 0.25,
        "true_positive_rate": 0.5,
        "false_positive_rate": 0.5,
    }
    assert notes == []


def test_a_rate_of_no_rows_is_undefined_and_named() -> None:
    group = np.array(["a", "a", "b", "b"])

    comparison, notes = compare(
        np.array([0, 0, 1, 0]), np.array([1, 0, 1, 0]), group, 1, CLASSIFICATION
    )

    assert comparison["values"]["a"]["true_positive_rate"] is None
    assert comparison["differences"]["true_positive_rate"] is None
    assert "a: true_positive_rate is undefined, because no row counts for it" in notes


def test_a_small_group_is_shown_and_left_out_of_the_differences() -> None:
    truth, group = np.array([1, 0] * 5), np.array(["a"] * 4 + ["b"] * 4 + ["few"] * 2)
    chosen = np.array([1, 0, 1, 0, 1, 0, 1, 0, 1, 1])

    comparison, notes = compare(truth, chosen, group, 3, CLASSIFICATION)

    assert comparison["values"]["few"]["selection_rate"] == 1
    assert comparison["differences"]["selection_rate"] == 0
    assert "few: 2 rows, fewer than 3: left out of the differences" in notes


def test_numbers_are_cut_into_groups() -> None:
    named = groups(pl.Series("age", [25, 26, 40, 41, None]), [40, 25])

    assert named.tolist() == [
        "up to 25",
        "above 25 up to 40",
        "above 25 up to 40",
        "above 40",
        "missing",
    ]


@pytest.mark.parametrize(
    ("column", "cuts", "message"),
    [
        (pl.Series("age", range(50)), [], "has 50 values"),
        (pl.Series("sex", ["f", "m"]), [3], "is not numeric"),
    ],
)
def test_a_column_that_makes_no_groups_is_refused(
    column: pl.Series, cuts: list[float], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        groups(column, cuts)


def test_a_regression_is_compared_by_its_errors() -> None:
    rows = pl.DataFrame(
        {
            contract.TARGET: [1.0, 2.0, 3.0, 5.0],
            "predicted": [2.0, 3.0, 3.0, 4.0],
            "g": list("aabb"),
        }
    )

    report = assess(rows, {"fairness": {"smallest_group": 1, "groups": {"g": []}}})

    assert report["task"] == "regression"
    assert report["groups"]["g"]["values"]["a"]["mean_error"] == 1
    assert report["groups"]["g"]["values"]["b"]["mean_error"] == -0.5
    assert report["groups"]["g"]["differences"]["mean_error"] == 1.5
    assert table(report).height == 4


def test_a_missing_group_is_reported() -> None:
    report = assess(pl.DataFrame({contract.TARGET: [True, False], "predicted": [0.1, 0.9]}), {})

    assert report["notes"] == ["No groups are named under [fairness.groups] in params.toml."]


@pytest.mark.parametrize(
    ("sizes", "smallest", "too_small", "not_measured"),
    [
        ({"a": 4, "b": 4, "few": 2}, 3, {"few": 2}, {}),
        (
            {"a": 6, "b": 3},
            4,
            {"b": 3},
            {
                "selection_rate": {"a": 6, "b": 3},
                "true_positive_rate": {"a": 3, "b": 2},
                "false_positive_rate": {"a": 3, "b": 1},
            },
        ),
    ],
)
def test_what_has_too_few_rows_is_named_with_them(
    sizes: dict[str, int], smallest: int, too_small: dict[str, int], not_measured: dict[str, Any]
) -> None:
    group = [name for name, size in sizes.items() for _ in range(size)]
    truth = [number % 2 == 0 for number in range(len(group))]
    predicted = [0.9 if true else 0.1 for true in truth]
    rows = pl.DataFrame({contract.TARGET: truth, "predicted": predicted, "g": group})

    report = assess(rows, {"fairness": {"smallest_group": smallest, "groups": {"g": []}}})

    assert report["too_small"] == {"g": too_small}
    assert report["not_measured"] == ({"g": not_measured} if not_measured else {})


@pytest.mark.parametrize(("verb", "name"), [(explain, "model_file"), (fairness, "predictions")])
def test_what_no_stage_has_written_yet_is_named(
    verb: ModuleType, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(monkeypatch, **{name: tmp_path / "none"})

    with pytest.raises(StageError, match="none is missing: `uv run poe train` and"):
        verb.main()


def test_what_is_wrong_elsewhere_in_params_toml_is_not_said_of_the_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong() -> None:
        raise SettingsError("params.toml: object missing required field `seed`")

    monkeypatch.setattr(fairness, "parameters", wrong)

    with pytest.raises(SettingsError, match="^params.toml: object missing"):
        fairness.main()
