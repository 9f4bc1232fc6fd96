"""The service looks up what a caller leaves out: the request's value, the store's, the default."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.redis_server import RedisServer, running
from machinery.tests.serving.calls import CONTRACT, PLAIN, ROW, Caller, calling, release, soon
from rung_ops import prediction_log
from rung_ops.features import EntityFeature, materialize, point_in_time, store, stores
from rung_ops.features.redis_store import PAUSE
from rung_ops.features.sources import Events
from rung_ops.model.bundle import BundleError
from rung_ops.model.entity_feature import View, views_of
from rung_ops.monitoring import inputs
from rung_ops.project.service_settings import Limits
from rung_ops.release.history import State
from rung_ops.serving.entity_lookup import online_store
from rung_ops.serving.loaded_release import HeldReleases, LoadedRelease
from rung_ops.serving.log_writer import PredictionLog
from rung_ops.serving.shadow import Shadow
from rung_ops.serving.watch import _completed

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
EVENTS = pl.DataFrame(
    {
        "code": ["AB", "AB", "CD", "EF"],
        "at": [NOW - 3 * HOUR, NOW - 2 * HOUR, NOW - 2 * HOUR, NOW - 30 * HOUR],
        "weight": [1.0, 5.0, 10.0, 100.0],
    }
)
NUMBERED = pl.DataFrame({"number": [7], "at": [NOW - 2 * HOUR], "weight": [3.0]})
SCHEMA = {"code": pl.String(), "number": pl.Int16()}


def declared(**changed: Any) -> EntityFeature:
    """Declare the mean weight of a code's events of a day."""
    settings: dict[str, Any] = {
        **{"name": "weight", "entity": ["code"], "source": lambda: EVENTS, "time": "at"},
        **{"aggregate": pl.col("weight").mean(), "window": timedelta(days=1), "cadence": HOUR},
        **{"default": 2.0, "max_age": 2 * HOUR},
    }
    return EntityFeature(**(settings | changed))


def write(views: Sequence[store.StoredView]) -> None:
    """Fill the store."""
    store.SqliteStore(store.store_file()).write(views)


def filled(view: View, now: datetime = NOW) -> None:
    """Fill the store with one view."""
    write([values(view, now)])


def values(view: View, now: datetime = NOW) -> store.StoredView:
    return materialize.values(view, SCHEMA, now, Events(Path("/")))


def contract_of(views: Sequence[View]) -> dict[str, Any]:
    """Make a contract in which `weight` is looked up."""
    described = [
        {
            "id": view.id,
            "entity": list(view.entity),
            "features": [
                {
                    "name": each.name,
                    "max_age_seconds": each.max_age and each.max_age.total_seconds(),
                }
                for each in view.features
            ],
        }
        for view in views
    ]
    return CONTRACT | {"entity_features": described}


def install(caller: Caller, *views: View, **contract: Any) -> None:
    """Let a release with entity features answer."""
    made = release(contract=contract_of(views) | contract)
    caller.service.install(HeldReleases(State(1, "v1"), LoadedRelease(made, "serving", False)))


@pytest.fixture
def view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> View:
    """A view whose store is the test's own."""
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    online_store.cache_clear()
    (made,) = views_of([declared()])
    return made


@pytest.fixture
def caller(tmp_path: Path, view: View) -> Iterator[Caller]:
    """A service with a filled store."""
    filled(view)
    with calling(tmp_path, Limits(), log=True) as made:
        install(made, view)
        yield made


def test_the_requests_value_comes_first_then_the_store_then_the_default(caller: Caller) -> None:
    own = caller.post("/predict", ROW | {"weight": 4.0}).json
    stored = caller.post("/predict", ROW).json
    old = caller.post("/predict", ROW | {"code": "EF"}).json
    unknown = caller.post("/predict", ROW | {"code": "XX", "weight": None}).json

    assert (own["prediction"], own["defaults_used"]) == (28.0, ["note"])
    assert (stored["prediction"], stored["defaults_used"]) == (21.0, ["note"])
    assert (old["prediction"], old["defaults_used"]) == (14.0, ["weight", "note"])
    assert (unknown["prediction"], unknown["defaults_used"]) == (14.0, ["weight", "note"])
    output = caller.get("/metrics").body.decode()
    assert 'service_entity_lookups_total{entity="code",outcome="found"} 1.0' in output
    assert 'service_entity_lookups_total{entity="code",outcome="missing"} 2.0' in output
    assert 'service_defaults_used_total{column="weight"} 2.0' in output
    (line,) = [
        s for s in output.splitlines() if s.startswith("service_entity_features_age_seconds{")
    ]
    assert 0 <= float(line.split()[-1]) < 3 * 3600


def test_the_log_names_what_the_caller_sent(caller: Caller, tmp_path: Path) -> None:
    """By row, by column, and in a table that is scored in parts; nothing if not sent."""
    number = 5_000
    large = {name: [value] * number for name, value in ROW.items()}
    large["weight"] = [4.0 if at % 5 == 0 else None for at in range(number)]
    caller.post("/predict", [ROW | {"weight": 4.0}, ROW])
    answer = caller.post("/predict/batch", {"columns": large}).json
    caller.post("/predict", ROW)
    assert caller.service.log is not None
    caller.service.log.close()

    assert answer["predictions"] == [28.0 if at % 5 == 0 else 21.0 for at in range(number)]
    files = list((tmp_path / "log").rglob("*.parquet"))
    assert all("sent" in pl.read_parquet_schema(file) for file in files)  # also of the last alone
    log = prediction_log.read(tmp_path / "log").collect()
    own = pl.col("row").struct.field("weight") == 4.0
    named = pl.col("sent").list.contains("weight").fill_null(False)
    assert log.height == number + 3
    assert log.select((own == named).all()).item()
    assert log.filter(named).height == number // 5 + 1


@pytest.mark.parametrize("broken", ["missing", "not a store", "another declaration", "short"])
def test_a_store_that_fails_while_the_service_runs_gives_defaults_and_is_counted(
    caller: Caller, view: View, broken: str
) -> None:
    assert caller.post("/predict", ROW).json["prediction"] == 21.0
    file = store.store_file()
    file.unlink()
    if broken == "not a store":
        file.write_bytes(b"x" * 5_000)
    elif broken == "another declaration":
        (other,) = views_of([declared(window=HOUR)])
        filled(other)
    elif broken == "short":
        entry = store.StoredView(
            view.id, time.time_ns() // 1000, ["weight"], [store.key_of(["AB"])], np.zeros((1, 2))
        )
        write([entry])

    answer = caller.post("/predict", ROW)

    assert answer.status == 200
    assert answer.json["defaults_used"] == ["weight", "note"]
    filled(view, NOW - 5 * HOUR)  # longer ago than its max_age
    assert caller.post("/predict", ROW).json["defaults_used"] == ["weight", "note"]
    output = caller.get("/metrics").body.decode()
    for outcome in ("failed", "stale"):
        assert f'service_entity_lookups_total{{entity="code",outcome="{outcome}"}} 1.0' in output
    filled(view)
    assert caller.post("/predict", ROW).json["prediction"] == 21.0


def test_a_release_is_refused_without_values_of_its_declarations(view: View) -> None:
    made = release(contract=contract_of([view]))

    (other,) = views_of([declared(window=HOUR)])
    filled(other)
    with pytest.raises(BundleError, match="no values of its entity features weight.*materialize"):
        LoadedRelease(made, "serving", False)


def test_what_was_served_and_logged_equals_what_is_computed_offline(
    caller: Caller, tmp_path: Path
) -> None:
    caller.post("/predict", [ROW | {"code": code} for code in ("AB", "CD", "EF", "XX")])
    assert caller.service.log is not None
    caller.service.log.close()

    log = prediction_log.read(tmp_path / "log").collect()
    rows = log.unnest("row").with_columns(pl.lit(NOW).alias("predicted"))
    again = point_in_time.joined(rows.drop("weight"), [declared()], "predicted", Path("/"))

    assert log.height == 4
    assert rows["weight"].n_unique() == 3
    assert again["weight"].to_list() == rows["weight"].to_list()


def test_a_shadow_with_other_features_looks_them_up_itself(tmp_path: Path, view: View) -> None:
    (other,) = views_of([declared(aggregate=pl.col("weight").max())])
    write([values(view), values(other)])
    on_trial = LoadedRelease(release("v2", contract=contract_of([other])), "serving", False)
    with calling(tmp_path, Limits()) as caller:
        install(caller, view)
        serving = caller.service.held.serving
        assert on_trial.lookup is not None
        complete = _completed(on_trial.lookup, serving)
        log = PredictionLog(tmp_path / "shadow")
        shadow = Shadow(on_trial.release, 1.0, log, complete=complete)
        caller.service.install(replace(caller.service.held, shadow=shadow))
        answers = caller.post("/predict", [ROW, ROW | {"code": "XX", "weight": 2.0}]).json
        soon(lambda: shadow.comparison.compared == 2)
        shadow.close()
        log.close()

    assert answers["predictions"] == [21.0, 14.0]
    assert shadow.comparison.difference == pytest.approx(35.0 - 21.0)
    logged = prediction_log.read(tmp_path / "shadow").collect().sort("id")
    assert sorted(logged["sent"].to_list()) == [[], ["weight"]]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A server that is the project's store."""
    settings = tmp_path / "features.toml"
    settings.write_text("[redis]\ntimeout_ms = 200\n")
    monkeypatch.setattr(stores, "settings_file", lambda: settings)
    with running(tmp_path) as started:
        monkeypatch.setenv(stores.ADDRESS, started.address())
        yield started


def test_a_server_that_is_killed_costs_no_answer_and_is_reported(
    tmp_path: Path, view: View, server: RedisServer
) -> None:
    with calling(tmp_path, Limits()) as caller:
        stores.project_store().write([values(view)])
        install(caller, view)

        stored = caller.post("/predict", ROW | {"note": ""}).json
        assert "service_feature_store_readable 1.0" in caller.get("/metrics").body.decode()
        server.kill()
        default = caller.post("/predict", ROW | {"note": ""})
        output = caller.get("/metrics").body.decode()

    assert (stored["prediction"], stored["defaults_used"]) == (21.0, [])
    assert (default.status, default.json["prediction"]) == (200, 14.0)
    assert default.json["defaults_used"] == ["weight"]
    assert "service_feature_store_readable 0.0" in output
    assert 'service_entity_lookups_total{entity="code",outcome="failed"} 1.0' in output
    assert inputs.filled() == {}  # so the monitor says that the features are old


def test_a_service_that_starts_while_the_server_is_down_answers_with_defaults_until_it_is_back(
    tmp_path: Path, view: View, server: RedisServer
) -> None:
    with calling(tmp_path, Limits()) as caller:
        server.kill()
        install(caller, view)
        default = caller.post("/predict", ROW | {"note": ""}).json
        server.start()
        stores.project_store().write([values(view)])
        time.sleep(PAUSE)
        stored = caller.post("/predict", ROW | {"note": ""}).json
        (other,) = views_of([declared(window=HOUR)])
        with pytest.raises(BundleError, match="declared in another way"):
            install(caller, other)

    assert (default["prediction"], default["defaults_used"]) == (14.0, ["weight"])
    assert (stored["prediction"], stored["defaults_used"]) == (21.0, [])


def test_views_are_looked_up_together_even_if_the_caller_sent_a_part(
    tmp_path: Path, view: View
) -> None:
    (other,) = views_of([declared(name="height", entity=["number"], source=lambda: NUMBERED)])
    write([values(view), values(other)])
    height = PLAIN | {"name": "height", "dtype": "float", "polars": "Float64", "required": False}
    columns = [*CONTRACT["columns"], height]
    with calling(tmp_path, Limits(), log=True) as caller:
        install(caller, view, other, columns=columns)
        rows = [ROW, ROW | {"height": 5.0}, ROW | {"number": 8, "weight": 4.0}]
        together = caller.post("/predict", rows).json
        alone = [caller.post("/predict", row).json for row in rows]

    assert together["predictions"] == [each["prediction"] for each in alone] == [21.0, 21.0, 32.0]
    assert together["defaults_used"] == [each["defaults_used"] for each in alone]
    assert together["defaults_used"][2] == ["note", "height"]
    log = prediction_log.read(tmp_path / "log").collect()
    heights = log["row"].struct.field("height").to_list()
    assert sorted(heights[:3], key=str) == sorted(heights[3:], key=str)
    assert log["sent"].to_list().count(["height"]) == 2


def test_keys_of_several_columns_and_of_numbers_are_found(tmp_path: Path, view: View) -> None:
    events = EVENTS.with_columns(pl.lit(7).alias("number"))
    (made,) = views_of([declared(entity=["number", "code"], source=lambda: events)])
    filled(made)
    with calling(tmp_path, Limits()) as caller:
        install(caller, made)
        result = caller.post("/predict", [ROW, ROW | {"number": 8}]).json

    assert result["predictions"] == [21.0, 16.0]


def both_ways(folder: Path, view: View, columns: list[Any], row: Any) -> tuple[Any, Any]:
    """Send a row as an object, and as a table."""
    with calling(folder, Limits()) as caller:
        install(caller, view, columns=columns)
        table = {"columns": {name: [value] for name, value in row.items()}}
        return caller.post("/predict", row).json, caller.post("/predict/batch", table).json


def test_an_entity_that_is_left_out_is_the_contracts_default(tmp_path: Path, view: View) -> None:
    filled(view)
    code = PLAIN | {"name": "code", "dtype": "str", "polars": "String"}
    columns = [each for each in CONTRACT["columns"] if each["name"] != "code"]
    optional = [*columns, code | {"required": False, "default": "CD"}]
    row = {name: value for name, value in ROW.items() if name != "code"}

    by_row, by_column = both_ways(tmp_path, view, optional, row)

    assert by_row["prediction"] == 70.0
    assert by_column["predictions"] == [70.0]


def test_a_value_of_the_request_stays_where_another_of_its_view_is_looked_up(
    tmp_path: Path, view: View
) -> None:
    (both,) = views_of([declared(), declared(name="height", aggregate=pl.len(), default=None)])
    filled(both)
    at = next(n for n, each in enumerate(CONTRACT["columns"]) if each["name"] == "weight")
    height = PLAIN | {"name": "height", "dtype": "float", "polars": "Float64", "required": False}
    columns = [*CONTRACT["columns"][: at + 1], height, *CONTRACT["columns"][at + 1 :]]

    by_row, by_column = both_ways(tmp_path, both, columns, ROW | {"weight": 4.0, "note": ""})

    assert (by_row["prediction"], by_row["defaults_used"]) == (28.0, [])
    assert (by_column["predictions"], by_column["defaults_used"]) == ([28.0], {})
