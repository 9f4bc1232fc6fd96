"""A prediction is answered with its reasons where they are asked for, and logged with them."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from machinery.tests.serving.calls import CONTRACT, ROW, Answer, Caller, calling, release
from rung_ops import prediction_log
from rung_ops.model.reasons import Reasons
from rung_ops.project.service_settings import Limits, ReasonSettings
from rung_ops.release.history import State
from rung_ops.serving.hooks import ServiceHooks
from rung_ops.serving.loaded_release import HeldReleases, LoadedRelease
from rung_ops.serving.pages import document

MEAN = 10.0
DESCRIBED = {"method": "additive", "adverse": "high", "columns": {"product": ["number", "weight"]}}
REASON = {"columns": ["number", "weight"], "text": "number and Weight of <all> of it, together"}


def effects(features: pl.DataFrame) -> np.ndarray:
    """Return what `product` adds to its mean; wrong for 77."""
    values = features["product"].to_numpy()
    return np.column_stack([np.where(values == 77, 0, values - MEAN), np.full(len(values), MEAN)])


def serve(caller: Caller) -> None:
    """Let a release answer that gives reasons."""
    made = release()
    reasons = Reasons(DESCRIBED, CONTRACT | {"task": "regression"}, effects, made.predictor)
    served = LoadedRelease(replace(made, reasons=reasons), "serving", strict=False)
    caller.service.install(HeldReleases(State(1, "v1"), served))


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    """A service whose release gives reasons for at most three rows."""
    with calling(tmp_path, Limits(), log=True, reasons=ReasonSettings(max_rows=3)) as made:
        serve(made)
        yield made


def logged(caller: Caller, folder: Path) -> pl.DataFrame:
    assert caller.service.log is not None
    caller.service.log.close()
    return prediction_log.read(folder / "log").sort("id").collect()


def test_reasons_are_returned_on_request_and_logged_and_a_favourable_factor_is_none(
    caller: Caller, tmp_path: Path
) -> None:
    rows = [ROW | {"number": number} for number in (7, 2, 5)]
    alone = caller.post("/predict?explain=true", ROW, x_request_id="asked").json
    many = caller.post("/predict?explain=true", rows, x_request_id="many").json
    paths = ("/predict", "/predict?explain=false")
    not_asked = [caller.post(path, ROW, x_request_id="not").json for path in paths]
    log = logged(caller, tmp_path)

    assert alone["reasons"] == [REASON | {"effect": 4.0}]
    assert many["predictions"] == [14.0, 4.0, 10.0]
    assert many["reasons"] == [[REASON | {"effect": 4.0}], [], []]
    assert all("reasons" not in answer for answer in not_asked)
    assert log["id"].to_list() == ["asked", "many-1", "many-2", "many-3", "not", "not"]
    assert log["reasons"].to_list() == [alone["reasons"], *many["reasons"], None, None]


@pytest.fixture
def hooked(tmp_path: Path) -> Iterator[Caller]:
    """The same with hooks: weights are doubled, and what is above 20 is answered with half more."""

    def heavier(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(weight=pl.when(pl.col("number") > 1).then(4.0).otherwise("weight"))

    def higher(rows: pl.DataFrame, predictions: np.ndarray) -> np.ndarray:
        return np.where(predictions > 20, predictions * 1.5, predictions)

    hooks = ServiceHooks(before_prediction=heavier, after_prediction=higher)
    with calling(tmp_path, Limits(), hooks=hooks, reasons=ReasonSettings(count=1)) as made:
        serve(made)
        yield made


def test_a_hook_that_changes_a_decision_is_in_the_reasons(hooked: Caller) -> None:
    rows = [ROW | {"number": number, "weight": 12.0} for number in (7, 4, 1)]
    answer = hooked.post("/predict?explain=true", rows).json

    set_by_hook = REASON | {"text": f"{REASON['text']}, changed by the hook before_prediction"}
    assert answer["predictions"] == [42.0, 16.0, 12.0]
    assert answer["reasons"] == [
        # Of 42 the model says 28, 18 above its mean, and the hook 14: it is always among the reasons.
        [{"columns": [], "text": "changed by the hook after_prediction", "effect": 14.0}],
        [set_by_hook | {"effect": 6.0}],
        [REASON | {"effect": 2.0}],
    ]


def test_a_row_that_cannot_be_explained_is_an_error_and_is_logged(
    caller: Caller, tmp_path: Path
) -> None:
    rows = [ROW, ROW | {"number": 77, "weight": 1.0}]
    answer = caller.post("/predict?explain=true", rows, x_request_id="mine")

    assert answer.status == 500
    assert "v1 cannot explain this: row 2: the effects" in answer.json["error"]
    assert logged(caller, tmp_path)["prediction"].to_list() == [14.0, 77.0]


@pytest.mark.parametrize(
    ("path", "rows", "status", "message"),
    [
        ("/predict?explain=true", 4, 413, "Reasons are given for at most 3 rows; got 4."),
        ("/predict?explain=yes", 1, 400, "explain: got 'yes'; expected true or false"),
        ("/predict?explain", 1, 400, "explain: got ''; expected true or false"),
        ("/predict/batch?explain=true", 1, 400, "A table is not explained: send rows to /predict"),
    ],
)
def test_what_is_not_explained_is_refused(
    caller: Caller, path: str, rows: int, status: int, message: str
) -> None:
    answer = caller.post(path, [ROW] * rows)

    assert answer.status == status
    assert answer.json["error"].startswith(message)


def test_a_release_without_reasons_says_why(caller: Caller) -> None:
    caller.install("v2")
    answer = caller.post("/predict?explain=true", ROW)

    assert (answer.status, answer.json["error"]) == (400, "v2 gives no reasons: it has none.")
    assert caller.post("/predict", [ROW] * 4).status == 200, "more rows than are explained"


def test_requests_wait_to_be_explained_only_in_bounds(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rung_ops.serving.explaining.MAX_WAITING", 0)
    answer = caller.post("/predict?explain=true", ROW)

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_under_always_no_prediction_goes_without_reasons(tmp_path: Path) -> None:
    with calling(tmp_path, Limits(), reasons=ReasonSettings(always=True, max_rows=2)) as caller:
        serve(caller)

        assert caller.post("/predict", ROW).json["reasons"] == [REASON | {"effect": 4.0}]
        assert caller.post("/predict?explain=false", ROW).json["reasons"]
        assert caller.post("/predict", [ROW] * 3).status == 413
        assert caller.post("/predict/batch", {"columns": {}}).status == 400


def test_explained_and_other_requests_come_together(caller: Caller) -> None:
    async def both() -> list[int]:
        paths = ["/predict?explain=true", "/predict"] * 10
        sent = {"content-type": "application/json"}
        request = (caller.ask("POST", path, ROW, sent) for path in paths)
        return [len(answer.json.get("reasons", "")) for answer in await asyncio.gather(*request)]

    assert caller.runner.run(both()) == [1, 0] * 10


@pytest.mark.parametrize("fails", ["log.add", "metrics.observe_batch"])
def test_a_request_is_answered_even_if_its_reasons_fail(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("no room")

    part, method = fails.split(".")
    monkeypatch.setattr(getattr(caller.service, part), method, fail)

    answer = caller.runner.run(bounded(caller))

    assert answer.status == 500
    assert "v1 cannot explain this: RuntimeError('no room')" in answer.json["error"]


async def bounded(caller: Caller) -> Answer:
    sent = {"content-type": "application/json"}
    return await asyncio.wait_for(caller.ask("POST", "/predict?explain=true", ROW, sent), 20)


def test_openapi_describes_how_to_request_reasons_and_their_form(caller: Caller) -> None:
    described = document(caller.service)
    parameters = described["paths"]["/predict"]["post"]["parameters"]
    schemas = described["components"]["schemas"]

    (explain,) = (each for each in parameters if each["name"] == "explain")
    assert explain["schema"] == {"type": "boolean", "default": False}
    assert "At most 3 rows" in explain["description"]
    assert set(schemas["Reason"]["required"]) == {"columns", "text", "effect"}
    assert "reasons" in schemas["Answer"]["properties"]
    assert "reasons" not in schemas["Answer"]["required"]
    of_batch = described["paths"]["/predict/batch"]["post"]["parameters"]
    assert "explain" not in {each["name"] for each in of_batch}
