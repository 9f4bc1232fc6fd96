"""The store holds the values of what is declared and of what serves, and is swapped as a whole."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import FACTS, Trained
from rung_ops import contract
from rung_ops.checks import data as checks
from rung_ops.errors import StageError
from rung_ops.features import EntityFeature, materialize, point_in_time, sources, store
from rung_ops.features.sources import Events
from rung_ops.features.store import SqliteStore
from rung_ops.features.stores import project_store
from rung_ops.model import source_import
from rung_ops.model.bundle import BundleError, ReleaseFiles
from rung_ops.model.entity_feature import views_of
from rung_ops.model.released import load
from rung_ops.project import paths
from rung_ops.release import deploy, make, signing

NOW = datetime(2026, 3, 1, 12, 34, tzinfo=UTC)
DAY = timedelta(days=1)
EVENTS = pl.DataFrame(
    {
        "shop": ["a", "a", "b", "c"],
        "at": [
            datetime(2026, 3, 1, 7),
            datetime(2026, 3, 1, 9),
            datetime(2026, 2, 28, 10),
            datetime(2026, 3, 1, 12, 34),
        ],
        "sold": [2.0, 4.0, 8.0, 16.0],
    }
)


def declared(**changed: Any) -> EntityFeature:
    """Declare what a shop sold on a day."""
    settings: dict[str, Any] = {
        **{"name": "sold_1d", "entity": ["shop"], "source": lambda: EVENTS, "time": "at"},
        **{"aggregate": pl.col("sold").sum(), "window": DAY, "cadence": timedelta(hours=1)},
    }
    return EntityFeature(**(settings | changed))


def values(feature: EntityFeature, now: datetime = NOW) -> store.StoredView:
    (view,) = views_of([feature])
    return materialize.values(view, {"shop": pl.String()}, now, Events(Path("/")))


def test_entities_have_the_values_of_the_last_full_hour() -> None:
    result = values(declared())

    assert result.as_of == NOW.replace(minute=0).timestamp() * 1e6
    assert result.entities == [store.key_of(["a"])]  # b's day is over, and c's is not there yet
    assert result.numbers.tolist() == [[6.0]]


def test_a_time_without_a_zone_is_of_the_declared_zone() -> None:
    result = values(declared(zone="America/New_York"))

    # There it is 7:34, so the sale at 7 o'clock is not before the last full hour.
    assert result.as_of == NOW.replace(minute=0).timestamp() * 1e6
    assert (result.entities, result.numbers.tolist()) == ([store.key_of(["b"])], [[8.0]])
    request = values(declared(zone="America/New_York"), datetime(2026, 3, 1, 8))
    assert request.as_of == datetime(2026, 3, 1, 13, tzinfo=UTC).timestamp() * 1e6
    assert request.numbers.tolist() == [[2.0], [8.0]]


AGGREGATES: dict[str, tuple[pl.Expr, Callable[[list[float]], float]]] = {
    "count": (pl.col("sold").count(), len),
    "len": (pl.len(), len),
    "max": (pl.col("sold").max(), max),
    "mean": (pl.col("sold").mean(), lambda sold: sum(sold) / len(sold)),
    "min": (pl.col("sold").min(), min),
    "sum": (pl.col("sold").sum(), sum),
    "last": (pl.col("sold").last(), lambda sold: sold[-1]),  # of the latest event
    "range": (pl.col("sold").max() - pl.col("sold").min(), lambda sold: max(sold) - min(sold)),
}


def test_values_are_those_of_the_parts_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_EVENTS", 50)
    draw = np.random.default_rng(34)
    declarations = [
        declared(name=name, aggregate=aggregate, source="*.parquet", known="known")
        for name, (aggregate, _) in AGGREGATES.items()
    ]
    (view,) = views_of(declarations)
    as_of = NOW.replace(minute=0, tzinfo=None)

    def part(name: str, first: int, last: int) -> None:
        """Write events of these minutes before the moment, some of them known hours later."""
        minutes = draw.permutation(np.arange(first, last))[:60]
        later = draw.choice([0, 0, 90], minutes.size)
        events = pl.DataFrame(
            {
                "shop": draw.choice(list("abcd"), minutes.size),
                "at": [as_of - timedelta(minutes=int(n)) for n in minutes],
                "sold": draw.integers(0, 1000, minutes.size) / 8,
            }
        )
        known = events.with_columns(known=pl.col("at") + pl.duration(minutes=pl.Series(later)))
        known.write_parquet(tmp_path / f"{name}.parquet")

    def expected() -> list[tuple[bytes, list[float]]]:
        events = pl.concat(map(pl.read_parquet, sorted(tmp_path.glob("*.parquet"))))
        sold: dict[str, list[float]] = {}
        for event in sorted(events.iter_rows(named=True), key=lambda each: each["at"]):
            if as_of - DAY <= event["at"] < as_of and event["known"] <= as_of:
                sold.setdefault(event["shop"], []).append(event["sold"])
        of = [brute for _, brute in AGGREGATES.values()]
        return [(store.key_of([shop]), [each(sold[shop]) for each in of]) for shop in sorted(sold)]

    def stored() -> list[tuple[bytes, list[float]]]:
        result = materialize.values(view, {"shop": pl.String()}, NOW, Events(tmp_path))
        return list(zip(result.entities, result.numbers.tolist(), strict=True))

    part("yesterday", 1300, 1500)  # the window begins 1,440 minutes before
    part("today", -30, 60)
    before = stored()
    assert before == expected() and len(before) == 4
    part("came late", 600, 1200)
    late = stored()
    assert late == expected() != before
    part("today", 0, 90)  # corrected
    corrected = stored()
    assert corrected == expected() != late
    (tmp_path / "came late.parquet").unlink()
    assert stored() == expected() != corrected


def test_a_store_is_read_back_and_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "new/features.sqlite"
    first, second = values(declared()), values(declared(zone="America/New_York"))
    kept = SqliteStore(file)
    kept.write([first, second])
    assert kept.as_of().keys() == {first.id, second.id}
    result = kept.read(first.id)
    SqliteStore(file).write([second])

    assert (result[:4], result.numbers.tolist()) == (first[:4], first.numbers.tolist())
    with pytest.raises(store.FeatureStoreError, match="no view"):
        kept.read(first.id)
    assert [path.name for path in file.parent.iterdir()] == ["features.sqlite"]


def test_a_store_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "features.sqlite"
    SqliteStore(file).write([values(declared())])
    before = file.read_bytes()

    with pytest.raises(Exception, match="UNIQUE"):
        SqliteStore(file).write([values(declared())] * 2)

    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["features.sqlite"]


# A project of this game, in which the entity is the first text of a row.

SOURCE = """

from datetime import timedelta

from rung_ops.features import EntityFeature

ENTITY_FEATURES = [
    EntityFeature(
        name="events_90d",
        entity=["{entity}"],
        source="{events}",
        time="happened",
        aggregate=pl.len(),
        window=timedelta(days=90),
        cadence=timedelta(days=1),
        default=0,
    ),
]
FEATURES.append(pl.col("events_90d"))
"""


@pytest.fixture
def project(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package with an entity feature, in use, and its folder of releases."""
    if contract.TIME is None:
        pytest.skip("the rows of this game have no time")
    schema = contract.Row.to_schema().dtypes
    entity = next(name for name, kind in schema.items() if kind.type == pl.String)
    rows = trained.train
    events = rows.select(entity, happened=pl.col(contract.TIME))
    events.write_parquet(tmp_path / "events.parquet")
    source = tmp_path / "src" / contract.package()
    shutil.copytree(Path(str(contract.dataset.__file__)).parent, source)
    text = SOURCE.format(entity=entity, events=tmp_path / "events.parquet")
    with (source / "features.py").open("a") as file:
        file.write(text)
    loaded = source_import.module_of(tmp_path, contract.package(), "features")
    monkeypatch.setattr(contract, "FEATURES", loaded.FEATURES, raising=False)
    monkeypatch.setattr(contract, "ENTITY_FEATURES", loaded.ENTITY_FEATURES, raising=False)
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    return source


@pytest.fixture
def released(project: Path, trained: Trained, release_private_key: bytes) -> Callable[..., Path]:
    """Write a release of the project into a folder, signed or not."""
    from machinery.tests.in_project import fit

    def write(folder: Path, is_signed: bool = True) -> Path:
        key = release_private_key if is_signed else None
        train, test = point_in_time.join(trained.train), point_in_time.join(trained.test)
        assert test["events_90d"].n_unique() > 10
        return make.write(folder, fit(train), train, test, FACTS, key, source=project)

    return write


def test_a_release_is_refused_until_its_features_are_materialized(
    released: Callable[..., Path],
    release_key: bytes,
    tmp_path: Path,
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(make.export, "export")  # what takes long, which it never comes to
        with pytest.raises(BundleError, match="no store.*`uv run rung-ops features materialize`"):
            released(tmp_path / "made")
    assert not list((tmp_path / "made").glob("v*"))

    last = trained.train[contract.TIME or ""].max()
    assert materialize.main(["--as-of", str(last)]) == 0
    loaded = load(released(tmp_path / "made"), release_key)

    looked_up = loaded.contract["columns"][-1]
    assert (looked_up["name"], looked_up["required"], looked_up["default"]) == (
        "events_90d",
        False,
        0,
    )
    assert "events_90d" not in loaded.contract["example"]
    (described,) = loaded.contract["entity_features"]
    (declared,), (feature,) = loaded.entity_features, described["features"]
    assert described["entity"] == list(declared.entity)
    assert described["cadence_seconds"] == declared.cadence.total_seconds()
    held = point_in_time.join(trained.train)["events_90d"]
    assert feature["default_share"] == (held == 0).mean() > 0
    test = point_in_time.join(trained.test.head(50), loaded.entity_features)
    features, _ = loaded.score(test)
    assert features["events_90d"].to_list() == test["events_90d"].to_list()


def test_what_ci_builds_where_no_store_is_in_reach_is_refused_where_it_is_deployed(
    released: Callable[..., Path],
    release_private_key: bytes,
    release_key: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    made = released(paths.candidates(), is_signed=False)
    signing.sign_all(made.parent, release_private_key)

    with pytest.raises(BundleError, match=rf"{made.name}: its entity features have no store"):
        deploy.install(paths.environment(paths.STAGING), made.name)
    materialize.main([])

    assert deploy.install(paths.environment(paths.STAGING), made.name).is_dir()


@pytest.mark.parametrize(("declared", "pulled"), [([declared()], 1), ([], 0)])
def test_data_is_fetched_where_features_are_declared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, declared: list[EntityFeature], pulled: int
) -> None:
    asked = []
    monkeypatch.setattr(contract, "ENTITY_FEATURES", declared, raising=False)
    monkeypatch.setattr(materialize, "_pull", lambda: asked.append(True) or 1)
    monkeypatch.setenv("RELEASES", str(tmp_path))

    assert materialize.main(["--pull"]) == pulled  # a pull that fails ends it
    assert len(asked) == pulled


def test_what_serves_keeps_its_values_when_the_declaration_changes(
    released: Callable[..., Path],
    release_key: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: Trained,
    capsys: pytest.CaptureFixture[str],
) -> None:
    last = str(trained.train[contract.TIME or ""].max())
    materialize.main(["--as-of", last])
    serves = released(paths.environment(paths.PRODUCTION) / "bundles")
    views = ReleaseFiles.wrap(serves).json("contract.json")["entity_features"]
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    (now,) = contract.ENTITY_FEATURES
    other = EntityFeature(**(vars(now) | {"window": timedelta(days=30)}))
    monkeypatch.setattr(contract, "ENTITY_FEATURES", [other])
    (described,) = views_of([other])

    with pytest.raises(store.FeatureStoreError, match="declared in another way"):
        store.refuse_unless_filled([{"id": described.id, "features": []}], project_store())
    assert materialize.main(["--as-of", last]) == 0

    assert capsys.readouterr().err == ""  # a lock is beside the bundles
    filled = store.refuse_unless_filled(views, project_store())
    assert filled.keys() == {described.id, views[0]["id"]}
    # A release that cannot be computed any more keeps what the store has.
    (tmp_path / "events.parquet").rename(tmp_path / "gone.parquet")
    monkeypatch.setattr(contract, "ENTITY_FEATURES", [])
    assert materialize.main([]) == 0
    kept = store.refuse_unless_filled(views, project_store())
    assert kept == {views[0]["id"]: filled[views[0]["id"]]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda now: {"name": now.entity[0]}, "has the name of a column of Row"),
        (lambda _: {"entity": [contract.TARGET]}, "not a column of Row that a caller sends"),
        (lambda _: {"entity": ["nowhere"]}, "not a column of Row that a caller sends"),
        (lambda _: {"entity": [contract.TIME]}, "name an entity by text"),
        (lambda now: {"at": now.entity[0]}, "needs the time of a row"),
        (lambda _: {"source": "nowhere.parquet"}, "cannot be computed"),
    ],
)
def test_a_broken_promise_is_reported_in_one_sentence(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: Trained,
    changed: Callable[[EntityFeature], dict[str, Any]],
    message: str,
) -> None:
    (now,) = contract.ENTITY_FEATURES
    checks.well_declared()
    checks.with_entity_features(trained.test.head(5))
    monkeypatch.setattr(contract, "ENTITY_FEATURES", [EntityFeature(**(vars(now) | changed(now)))])

    with pytest.raises(StageError, match=message):
        checks.well_declared()
        checks.with_entity_features(trained.test.head(5))


def test_the_time_of_a_row_may_be_a_date(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dated = type("Dated", (contract.Row,), {"__annotations__": {str(contract.TIME): pl.Date}})
    monkeypatch.setattr(contract, "Row", dated)

    checks.well_declared()
