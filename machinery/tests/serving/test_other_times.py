"""A row of a forecast gets entity features of the time that it needs, or is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from machinery.tests.serving.calls import CONTRACT, ROW, Caller, calling, release
from rung_ops import prediction_log
from rung_ops.features import store
from rung_ops.monitoring import inputs
from rung_ops.prediction_log import other_times
from rung_ops.project.service_settings import Limits
from rung_ops.release.history import State
from rung_ops.serving.entity_lookup import online_store
from rung_ops.serving.loaded_release import HeldReleases, LoadedRelease

HOUR = timedelta(hours=1)
AS_OF = datetime(2024, 12, 20)  # of the clock in New York
LEAD = timedelta(days=1)
VIEW: dict[str, Any] = {
    "id": "view",
    "entity": ["code"],
    "cadence_seconds": 3600.0,
    "zone": "America/New_York",
    "features": [{"name": "weight", "max_age_seconds": None, "at": "at", "lead_seconds": 86_400.0}],
}


def filled(as_of: datetime) -> None:
    """Fill the store with a weight of 5 for AB, as of a time in New York."""
    moment = as_of.replace(tzinfo=UTC) + 5 * HOUR  # in winter
    view = store.StoredView(
        *("view", int(moment.timestamp() * 1e6), ["weight"]),
        *([store.key_of(["AB"])], np.array([[5.0]])),
    )
    store.SqliteStore(store.store_file()).write([view])


def row(hours: int = 0, **values: Any) -> dict[str, Any]:
    """Ask for the hour whose forecast is made so long after the store was filled."""
    at = AS_OF + LEAD + hours * HOUR + timedelta(minutes=59)
    return ROW | {"note": "", "at": at.isoformat()} | values


@pytest.fixture
def caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """A service of a forecast, whose store was filled at AS_OF."""
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    online_store.cache_clear()
    filled(AS_OF)
    with calling(tmp_path, Limits(), log=True) as made:
        install(made)
        yield made


def install(caller: Caller, policy: Any = "refuse", **changed: Any) -> None:
    """Let a release answer, with its feature changed."""
    feature = VIEW["features"][0] | changed
    serve(caller, CONTRACT | {"entity_features": [VIEW | {"features": [feature]}]}, policy)


def serve(caller: Caller, contract: dict[str, Any], policy: Any = "refuse") -> None:
    served = LoadedRelease(release(contract=contract), "serving", False, policy)
    caller.service.install(HeldReleases(State(1, "v1"), served))


def test_the_published_example_is_a_row_that_is_answered(caller: Caller) -> None:
    """It is of the training rows' time, which the store has left behind."""
    contract = CONTRACT | {"entity_features": [VIEW]}
    example = {"at": "2024-01-31T08:00:00"}  # values that are looked up are none of it
    contract["example"] = contract["example"] | example
    del contract["example"]["weight"]
    serve(caller, contract)

    paths = caller.get("/openapi.json").json["paths"]
    for path in ("/predict", "/predict/batch"):
        body = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert caller.post(path, body).status == 200


@pytest.mark.parametrize("hours", [-24 * 365, -3, 3, 24 * 365])
def test_a_row_that_needs_another_time_is_refused_and_visible(caller: Caller, hours: int) -> None:
    caller.post("/predict", row())

    answer = caller.post("/predict", [row(), row(hours)])

    assert answer.status == 422
    assert (answer.json["row"], answer.json["column"]) == (2, "at")
    needed = f"{AS_OF + hours * HOUR:%Y-%m-%dT%H:%M}"
    assert f"needs `weight` as of {needed}" in answer.json["error"]
    assert "the feature store has it as of 2024-12-20T00:00" in answer.json["error"]
    counted = 'service_entity_rows_of_another_time_total{entity="code",outcome="refused"} 1.0'
    assert counted in caller.get("/metrics").body.decode()
    (problem,) = caller.get("/health/ready").json["problems"]
    assert "1 of 3 rows needed entity features (code) of another time" in problem
    assert "refused" in problem


def test_the_monitor_learns_of_refused_rows(caller: Caller, tmp_path: Path) -> None:
    caller.post("/predict", [row(), row(3)])
    assert caller.service.log is not None
    caller.service.log.close()

    today = datetime.now(UTC)
    counts = other_times.read(tmp_path / "log", today - LEAD, today)

    (problem,) = inputs.of_another_time(counts, 0.02)
    assert problem == (
        "1 of 2 rows needed entity features (code) of another time than that of the feature store: "
        "1 were refused, 0 got the default"
    )
    assert list(inputs.of_another_time(counts, 0.5)) == []
    assert other_times.read(tmp_path / "log", today - 9 * LEAD, today - 8 * LEAD) == {}


def test_the_callers_own_value_is_of_any_time_and_a_new_filling_ends_the_refusal(
    caller: Caller,
) -> None:
    together = caller.together("/predict", [row(-2), row(24), row(2)])
    assert [answer.status for answer in together] == [200, 422, 200]
    assert caller.post("/predict", row(24 * 365, weight=4.0)).json["prediction"] == 28.0
    assert caller.post("/predict", [row(), row(24, weight=4.0)]).status == 200
    assert caller.post("/predict", [row(), row(24), row(24, weight=4.0)]).json["row"] == 2

    filled(AS_OF + 24 * HOUR)
    assert caller.post("/predict", row(24)).json["prediction"] == 35.0


def test_a_declared_max_age_is_how_much_older_a_value_may_be(caller: Caller) -> None:
    age = (datetime.now(UTC) - AS_OF.replace(tzinfo=UTC)).total_seconds() + 3600
    install(caller, max_age_seconds=age)  # so long that it counts against the clock, too

    assert caller.post("/predict", row(24 * 90)).json["prediction"] == 35.0
    assert caller.post("/predict", row(-24)).status == 422


def test_by_policy_the_default_is_used_and_counted(caller: Caller) -> None:
    install(caller, "default")

    rows = [row(), row(3), row(-3, weight=4.0)]
    answers = caller.post("/predict", rows).json
    table = {"columns": {name: [each.get(name) for each in rows] for name in rows[2]}}
    by_column = caller.post("/predict/batch", table).json

    assert answers["predictions"] == by_column["predictions"] == [35.0, 14.0, 28.0]
    assert answers["defaults_used"] == [[], ["weight"], []]
    assert by_column["defaults_used"] == {"weight": [2]}
    counted = 'service_entity_rows_of_another_time_total{entity="code",outcome="default"} 2.0'
    assert counted in caller.get("/metrics").body.decode()
    (problem,) = caller.get("/health/ready").json["problems"]
    assert problem.endswith("got the default")


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_a_large_request_is_refused_as_a_whole(caller: Caller, path: str, tmp_path: Path) -> None:
    rows = [row() for _ in range(2_999)] + [row(3)]
    columns = {"columns": {name: [each[name] for each in rows] for name in rows[0]}}

    answer = caller.post(path, rows if path == "/predict" else columns)

    assert (answer.status, answer.json["row"]) == (422, 3_000)
    assert caller.service.log is not None
    caller.service.log.close()
    assert prediction_log.read(tmp_path / "log").collect().is_empty()


def test_an_earlier_release_is_answered_as_before_and_readiness_says_so(caller: Caller) -> None:
    feature = {"name": "weight", "max_age_seconds": None}
    views = [{"id": "view", "entity": ["code"], "features": [feature]}]
    serve(caller, CONTRACT | {"entity_features": views, "forecast": "made 1 day before `at`"})

    assert caller.post("/predict", row(24 * 365)).json["prediction"] == 35.0
    (problem,) = caller.get("/health/ready").json["problems"]
    assert problem.startswith("the release does not say which time its rows need")


def test_a_time_with_a_zone_is_compared_in_utc(caller: Caller) -> None:
    zoned = "Datetime(time_unit='us', time_zone='Europe/Berlin')"
    columns = [
        each | {"polars": zoned} if each["name"] == "at" else each for each in CONTRACT["columns"]
    ]
    serve(caller, CONTRACT | {"columns": columns, "entity_features": [VIEW]})
    at = AS_OF.replace(tzinfo=UTC) + 5 * HOUR + LEAD

    known = caller.post("/predict", row(at=at.isoformat()))
    later = caller.post("/predict", row(at=(at + 5 * HOUR).isoformat()))

    assert (known.status, later.status) == (200, 422)
