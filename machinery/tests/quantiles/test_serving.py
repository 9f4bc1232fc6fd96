"""A release of quantiles is served: the median and the interval around it, and logged."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from machinery.tests.quantiles.conftest import QUANTILES
from machinery.tests.serving.calls import Caller
from machinery.tests.small_project import Scored, logged
from rung_ops.model.target import Kind, numbers
from rung_ops.release.rollout import Comparison
from rung_ops.serving import answers
from rung_ops.serving.loaded_release import LoadedRelease


def test_rows_are_answered_with_the_median_and_its_interval_in_every_form(
    caller: Caller,
    sent: list[dict[str, Any]],
    expected: np.ndarray,
    served: LoadedRelease,
    tmp_path: Path,
) -> None:
    columns = {name: [row[name] for row in sent] for name in sent[0]}

    many = caller.post("/predict", sent).json
    log = logged(tmp_path / "log", len(sent))
    body = caller.post("/predict", sent[0]).body
    by_column = caller.post("/predict/batch", {"columns": columns}).json

    alone = msgspec.json.decode(body)
    intervals = [[each["low"], each["high"]] for each in many["intervals"]]
    np.testing.assert_allclose(many["predictions"], expected[:, 1], rtol=1e-5)
    np.testing.assert_allclose(intervals, expected[:, [0, 2]], rtol=1e-5)
    assert list(alone) == ["id", "prediction", "interval", "release", "defaults_used"]
    assert alone["prediction"] == pytest.approx(many["predictions"][0], rel=1e-5)
    assert alone["interval"] == pytest.approx(many["intervals"][0] | {"level": 0.8}, rel=1e-5)
    assert by_column["predictions"] == many["predictions"]
    assert by_column["intervals"] == {
        "low": [low for low, _ in intervals],
        "high": [high for _, high in intervals],
        "level": 0.8,
    }
    interval = log["interval"].struct.unnest()
    np.testing.assert_allclose(log["prediction"], expected[:, 1], rtol=1e-5)
    np.testing.assert_allclose(interval.select("low", "high"), expected[:, [0, 2]], rtol=1e-5)
    assert interval["level"].to_list() == [0.8] * 3
    schemas = caller.get("/openapi.json").json["components"]["schemas"]
    assert set(schemas["Interval"]["required"]) == {"low", "high", "level"}
    assert schemas["Answer"]["properties"]["interval"]["$ref"].endswith("/Interval")
    decoded = msgspec.json.decode(body, type=answers.types_of(served.release.kind).row)
    assert decoded.release == served.release.id


@pytest.fixture
def said(project: Path) -> None:
    """Say in params.toml which predictions are unfavourable, before the release is made."""
    path = project / "params.toml"
    path.write_text(path.read_text() + '\n[reasons]\nadverse = "high"\n')


@pytest.mark.usefixtures("said")
def test_the_reasons_of_the_median_are_answered(caller: Caller, sent: list[dict[str, Any]]) -> None:
    far = [row | {"distance": 39.0} for row in sent]

    one = caller.post("/predict?explain=true", far[0]).json
    many = caller.post("/predict?explain=true", far).json

    assert one["reasons"][0]["columns"] == ["distance"]
    assert many["reasons"][0] == one["reasons"]
    assert len(many["reasons"]) == len(far)


def test_a_shadow_is_compared_by_the_mean_distance_of_the_quantiles() -> None:
    kind = Kind((), QUANTILES)
    comparison = Comparison(kind)
    serving = np.sort(np.random.default_rng(1).normal(size=(300, 3)), axis=1)
    moved = serving.copy()
    moved[:100] += [0.0, 3.0, 6.0]

    comparison.observe(serving, moved)

    assert comparison.difference == pytest.approx(100 * 3.0)
    assert comparison.changed(0.0) == (100, 300)
    assert numbers(np.array([[1.0, 2.0, 5.0]]), kind).tolist() == [2.0], "so is a canary"


def test_a_file_is_scored_with_the_ends_of_the_interval(scored: Scored) -> None:
    names = ["interval_low", "prediction", "interval_high"]

    np.testing.assert_allclose(scored.rows.select(names).to_numpy(), scored.expected)
    assert scored.bad.select(names).null_count().row(0) == (1, 1, 1)
    assert scored.log["prediction"].to_list() == scored.rows["prediction"].to_list()
    high = scored.log["interval"].struct.field("high").to_list()
    assert high == scored.rows["interval_high"].to_list()
