"""Fill the feature store: `uv run rung-ops features materialize [--as-of TIME] [--pull]`.

It computes the features of features.py and those of each release that an environment holds, by the
source that the release carries: what serves goes on having its values when a declaration changes.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import polars as pl

from rung_ops import contract
from rung_ops.command import verb
from rung_ops.features import point_in_time, store, stores
from rung_ops.features.sources import EntityFeatureError, Events
from rung_ops.features.store import FeatureStore, FeatureStoreError, StoredView
from rung_ops.model import bundle, source_import
from rung_ops.model.bundle import BundleError
from rung_ops.model.columns import dtype_of
from rung_ops.model.entity_feature import MICROSECOND, View, ticks, views_of
from rung_ops.project import current, keyless, paths

Schema = Mapping[str, pl.DataType]


def values(view: View, schema: Schema, now: datetime, events: Events) -> StoredView:
    """Compute the values of a view, for every entity that has one.

    `now`, without a zone that of the view, is rounded down to the cadence.
    """
    is_zoned = point_in_time.is_zoned(events, view.features[0])
    moment, as_of = _moment(view, now, is_zoned)
    features = point_in_time.of_all_entities(moment, view.features, events, schema, is_zoned)
    features = features.filter(pl.any_horizontal(pl.col(view.names).is_not_null()))
    numbers = features.select(pl.col(view.names).fill_null(float("nan"))).to_numpy()
    keys = store.keys_of(features[name].to_list() for name in view.entity)
    return StoredView(view.id, as_of, view.names, keys, numbers)


def _moment(view: View, now: datetime, is_zoned: bool) -> tuple[int, int]:
    """Round a time down to the cadence; return it as the events' clock shows it, and in UTC."""
    zone = _zone(view.features[0].zone)
    aware = now if now.tzinfo is not None else now.replace(tzinfo=zone)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    cadence = ticks(view.features[0].cadence)
    if is_zoned:
        moment = (aware - epoch) // MICROSECOND // cadence * cadence
        return moment, moment
    local = aware.astimezone(zone).replace(tzinfo=UTC)
    moment = (local - epoch) // MICROSECOND // cadence * cadence
    shown_then = epoch + moment * MICROSECOND
    return moment, (shown_then.replace(tzinfo=zone) - epoch) // MICROSECOND


def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError) as error:
        raise EntityFeatureError(f"features.py: `{name}` is not a time zone.") from error


def released(folder: Path) -> Iterator[tuple[str, list[View], Schema]]:
    """Yield the releases that an environment holds: their id, views, and types of their columns."""
    for place in sorted(
        p for p in (folder / "bundles").glob("*") if (p / bundle.MANIFEST).exists()
    ):
        try:
            manifest, files = bundle.open_verified(place, bundle.public_key())
            described = files.json(bundle.CONTRACT)
            if not described.get("entity_features"):
                continue
            declared = source_import.entity_features_of(files, manifest["package"])
        except (BundleError, OSError) as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        # Named as the release names them: another version of Polars may write expressions otherwise.
        ids = [view["id"] for view in described["entity_features"]]
        views = [
            View(identity, view.entity, view.features)
            for identity, view in zip(ids, views_of(declared), strict=True)
        ]
        schema = {each["name"]: dtype_of(each["polars"]) for each in described["columns"]}
        yield place.name, views, schema


def _time(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime:
    try:
        return datetime.fromisoformat(text) if text else datetime.now(UTC)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@verb("rung-ops features materialize")
@click.option(
    "--as-of",
    "now",
    callback=_time,
    metavar="TIME",
    help="compute the values of this time instead of now, such as 2026-01-31T08:00:00Z",
)
@click.option(
    "--pull",
    is_flag=True,
    help="fetch the versioned data first, where entity features are declared",
)
def main(now: datetime, pull: bool) -> int:
    """Fill the feature store with the values of now, or of another time."""
    keyless.drop()  # code of releases and of features.py runs in this process
    if pull and contract.ENTITY_FEATURES and (code := _pull()):
        return code
    filled = dict(_declared(now))
    served = [
        (name, view, schema)
        for environment in paths.ENVIRONMENTS
        for name, views, schema in released(paths.environment(environment))
        for view in views
    ]
    if not filled and not served:
        print("features.py declares no entity features: ENTITY_FEATURES is empty or missing.")
        return 0
    try:
        kept = stores.project_store()
        for name, view, schema in served:
            if view.id not in filled:
                values = _of_release(name, view, schema, now, kept)
                filled |= {view.id: values} if values is not None else {}
        kept.write(list(filled.values()))
    except FeatureStoreError as error:
        print(f"The feature store: {error}.", file=sys.stderr)
        return 1
    for stored in filled.values():
        names, number = ", ".join(stored.names), len(stored.entities)
        print(f"{names}: {number:,} entities as of {store.moment_shown(stored.as_of)}")
    print(f"materialized: {kept.name}")
    return 0


def _pull() -> int:
    """Fetch the versioned data with the verb that does, whose packages the service lacks."""
    return subprocess.run([sys.executable, "-m", "rung_ops", "pull"], check=False).returncode


def _declared(now: datetime) -> Iterator[tuple[str, StoredView]]:
    schema = {name: kind.type for name, kind in contract.Row.to_schema().dtypes.items()}
    events = Events(current().root)
    for view in views_of(contract.ENTITY_FEATURES):
        yield view.id, values(view, schema, now, events)


def _of_release(
    name: str, view: View, schema: Schema, now: datetime, kept: FeatureStore
) -> StoredView | None:
    """Compute a view of a release; where that fails, keep what the store has, which grows old."""
    try:
        return values(view, schema, now, Events(current().root))
    except EntityFeatureError as error:
        print(f"{name}: {error}", file=sys.stderr)
    try:
        return kept.read(view.id)
    except FeatureStoreError:
        return None
