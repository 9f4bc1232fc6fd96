"""A small project of its own kind of target, in place of the one that was rendered.

The conftest.py of a folder of tests makes a SmallProject, gives it as the fixture `small`, and imports
the fixtures of this module.
"""

import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from machinery.tests.conftest import FACTS, Patch, Trained
from machinery.tests.in_project import stage
from machinery.tests.projects import moved
from machinery.tests.serving.calls import Caller, calling, soon
from rung_ops import contract, prediction_log, stages
from rung_ops.autopilot import facts
from rung_ops.batch import predict, predict_logged
from rung_ops.checks import data, promises
from rung_ops.gate.judge import Champion, judge
from rung_ops.gate.rules import Rules
from rung_ops.gate.verdict import Verdict
from rung_ops.model import released as serving_release
from rung_ops.model.target import Kind
from rung_ops.monitoring import check, outcomes, release_info
from rung_ops.monitoring.check import Newest
from rung_ops.monitoring.limits import Limits as MonitorLimits
from rung_ops.monitoring.monitor_result import MonitorResult
from rung_ops.project import paths
from rung_ops.project.service_settings import ANY_SPEED, Limits
from rung_ops.serving.loaded_release import LoadedRelease
from rung_ops.training import baseline, estimator, evaluate, model_card, slice_scores

__all__ = [
    *("answered", "caller", "checked", "deployed", "expected", "judged", "project"),
    *("release_folder", "release_of", "released", "reported", "reports", "scored"),
    *("sent", "served", "trained"),
]  # fixtures

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RELEASE = "v1-aaaaaaaa-bbbbbb"


@dataclass(frozen=True)
class SmallProject:
    """What there is of it.

    Attributes:
        home: the folder with params.toml and the package.
        package: its name.
        draw: draws a number of rows.
        rows: to draw for a model.
        key: the column that names a row.
        time: the column of its time.
        target: the column that is predicted.
        kind: of the target.
    """

    home: Path
    package: str
    draw: Callable[[int], pl.DataFrame]
    rows: int
    key: str
    time: str
    target: str
    kind: Kind

    def logged(self, trained: Trained, rows: pl.DataFrame) -> pl.DataFrame:
        """Log what the model answers to rows, a day before NOW."""
        batch = prediction_log.Batch(
            time=int((NOW - DAY).timestamp() * 1e6),
            ids=rows[self.key].to_list(),
            release=RELEASE,
            arm="serving",
            rows=rows.drop(self.target),
            features=estimator.features(rows),
            predictions=estimator.predict(trained.estimator, rows),
            kind=self.kind,
        )
        return prediction_log.assemble([batch])


def looked(released: release_info.Released, log: pl.DataFrame, folder: Path) -> MonitorResult:
    """Monitor a log, with the outcomes of a folder."""
    known = outcomes.read(released.contract, folder)
    newest, limits = Newest(NOW - DAY, NOW - DAY), MonitorLimits()
    since = NOW - 7 * DAY
    given = check.MonitorInput(log, log, known, newest, since, NOW)
    return check.check_release(released, given, limits, paths.params())


def logged(folder: Path, rows: int) -> pl.DataFrame:
    """Read a log as soon as it has so many rows."""
    soon(lambda: prediction_log.read(folder).collect().height >= rows)
    return prediction_log.read(folder).collect()


ONE_HOT = OneHotEncoder(handle_unknown="ignore")
CODES = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)  # as LightGBM takes


def fitted(
    trained: Trained, text: str, numbers: list[str], imputer: Any, last: Any, encoder: Any = ONE_HOT
) -> Pipeline:
    """Fit a pipeline of other steps: a column of text is encoded, numbers are imputed."""
    columns = ColumnTransformer([(text, encoder, [text]), ("numbers", imputer, numbers)])
    model = Pipeline([("columns", columns), ("last", last)])
    return model.fit(estimator.features(trained.train), estimator.truth(trained.train))


@pytest.fixture(autouse=True)
def project(small: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with params.toml, in which `contract` is that of the package."""
    folder = tmp_path_factory.mktemp(small.package)
    shutil.copy(small.home / "params.toml", folder)

    def module(name: str) -> Any:
        return importlib.import_module(f"{small.package}.{name}")

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(small.home)
        moved(patch, paths, root=folder)
        patch.setattr(contract, "_module", module)
        yield folder


@pytest.fixture
def trained(project: Path, small: SmallProject) -> Trained:
    """A model of its rows."""
    train, test = stage("split").split(small.draw(small.rows), 0.4, 1)
    return Trained(stage("train").fit(train), train, test)


@pytest.fixture
def release_folder(trained: Trained, tmp_path: Path, release_private_key: bytes) -> Path:
    """A signed release of that model."""
    from rung_ops.release import make

    predicted = estimator.predict(trained.estimator, trained.test)
    sliced = slice_scores.score_by_slice(trained.test, predicted)
    documents = {"slices.json": json.dumps(sliced.to_dicts())}
    folder = tmp_path / "candidates"
    folder.mkdir()
    return make.write(
        *(folder, trained.estimator, trained.train, trained.test, FACTS, release_private_key),
        documents,
    )


@pytest.fixture
def release_of(
    trained: Trained,
    tmp_path: Path,
    release_private_key: bytes,
    release_key: bytes,
    monkeypatch: Patch,
) -> Callable[..., serving_release.Release]:
    """Release a fitted model, by its own source where one is given, and load it."""
    from rung_ops.release import make

    load = serving_release.load  # how fast it is does not matter here
    monkeypatch.setattr(serving_release, "load", lambda *given: load(*given[:2], ANY_SPEED))

    def release_of(model: Any, *source: Path) -> serving_release.Release:
        rows = trained.train, trained.test
        folder = make.write(tmp_path, model, *rows, FACTS, release_private_key, {}, *source)
        return serving_release.load(folder, release_key)

    return release_of


@pytest.fixture
def judged(trained: Trained) -> Callable[..., Verdict]:
    """Judge predictions of the test rows, or of others, beside those of a champion."""

    def judged(
        challenger: np.ndarray, champion: np.ndarray, rows: pl.DataFrame = trained.test
    ) -> Verdict:
        best = baseline.best(trained.train, rows)
        return judge(rows, challenger, Champion({}, champion, []), best, Rules())

    return judged


@pytest.fixture
def answered(
    small: SmallProject, trained: Trained, release_folder: Path, tmp_path: Path, monkeypatch: Patch
) -> Callable[..., pl.DataFrame]:
    """Return what production answered to rows, with what happened."""

    def answered(rows: pl.DataFrame, log: pl.DataFrame | None = None) -> pl.DataFrame:
        monkeypatch.delenv("LOGS", raising=False)
        folder = prediction_log.folder(paths.PRODUCTION)
        log = small.logged(trained, rows) if log is None else log
        prediction_log.write_predictions(log, folder)
        rows.select(small.key, small.target).write_csv(tmp_path / "outcomes.csv")
        described = json.loads((release_folder / "contract.json").read_text())
        monkeypatch.setattr(facts, "_contract", lambda environment: described)
        return facts.answers(paths.PRODUCTION, NOW, tmp_path)

    return answered


class Scored(NamedTuple):
    """A file of fifty rows that was scored, and its log.

    Attributes:
        rows: those without a hole, as they were written.
        bad: the row with a hole.
        expected: what the model predicts for the others.
        log: of them.
    """

    rows: pl.DataFrame
    bad: pl.DataFrame
    expected: np.ndarray
    log: pl.DataFrame


@pytest.fixture
def scored(trained: Trained, small: SmallProject, tmp_path: Path, monkeypatch: Patch) -> Scored:
    """A file in which the fifth row has no distance."""
    estimator.save(trained.estimator, tmp_path / "model.skops")
    moved(monkeypatch, model_file=tmp_path / "model.skops")
    monkeypatch.delenv("LOGS", raising=False)
    rows = trained.test.drop(small.target).head(50)
    hole = pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise("distance").alias("distance")
    rows.with_columns(hole).write_parquet(tmp_path / "new.parquet")
    words = [f"{tmp_path / name}" for name in ("new.parquet", "scored.csv")]
    monkeypatch.setattr(predict, "as_add_ons_do", predict_logged.log_predictions)
    assert predict.main(words) == 0
    read = pl.read_csv(tmp_path / "scored.csv")
    kept = [row for row in range(50) if row != 4]
    log = prediction_log.read(prediction_log.folder("batch")).collect()
    return Scored(read[kept], read[4], estimator.predict(trained.estimator, rows[kept]), log)


@pytest.fixture
def released(release_folder: Path, release_key: bytes) -> release_info.Released:
    """That release as the monitor reads it."""
    return release_info.load(release_folder, release_key)


@pytest.fixture
def deployed(release_folder: Path, release_key: bytes, monkeypatch: Patch, tmp_path: Path) -> None:
    """That release and its key, where the autopilot looks for those of production."""
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setattr(paths, "public_key", lambda: tmp_path / "release.pub")
    monkeypatch.setattr(paths, "bundle", lambda folder, name: release_folder)


@pytest.fixture
def checked(small: SmallProject, monkeypatch: Patch, tmp_path: Path) -> Path:
    """A raw file that the promises are checked with; nothing is remembered of it."""
    raw = tmp_path / f"{small.package}.parquet"
    small.draw(600).write_parquet(raw)
    for name in ("raw_files", "raw_files_in"):
        monkeypatch.setattr(data, name, lambda *folder: [raw])
    for remembered in (data.sample, data.featured_sample, promises.broken):
        remembered.cache_clear()
    monkeypatch.setattr(promises.hooks, "check_all", lambda: None)
    return raw


@pytest.fixture
def reports(monkeypatch: Patch, tmp_path: Path) -> Path:
    """The folder that the evaluation writes to."""
    folder = tmp_path / "reports"
    folder.mkdir()
    moved(
        monkeypatch,
        reports=folder,
        plots=folder / "plots",
        metrics=folder / "metrics.json",
        report=folder / "report.html",
        predictions=folder / "predictions.parquet",
    )
    return folder


@pytest.fixture
def reported(trained: Trained, reports: Path, monkeypatch: Patch) -> np.ndarray:
    """Predictions of the test rows, of which report, slices, comparison and card were made."""
    trained.train.write_parquet(reports / "train.parquet")
    moved(monkeypatch, train=reports / "train.parquet")
    predicted = estimator.predict(trained.estimator, trained.test)
    figures = stages.score(trained.test, predicted)
    evaluate.write_report(trained.estimator, trained.test, predicted, figures)
    assert (slice_scores.main(), baseline.main()) == (0, 0)
    assert json.loads((reports / "comparison.json").read_text())["better"]
    (reports / "card.md").write_text(model_card.card("# Card\n", reports, "Model: this one."))
    return predicted


@pytest.fixture
def served(release_folder: Path, release_key: bytes) -> LoadedRelease:
    """That release as the service has it."""
    loaded = serving_release.load(release_folder, release_key, ANY_SPEED)
    return LoadedRelease(loaded, "serving", strict=False)


@pytest.fixture
def caller(served: LoadedRelease, tmp_path: Path) -> Iterator[Caller]:
    """Calls a service of that release, which logs."""
    with calling(tmp_path, Limits(), log=True) as made:
        made.serve(served)
        yield made


@pytest.fixture
def sent(trained: Trained, small: SmallProject) -> list[dict[str, Any]]:
    """Rows as a caller sends them."""
    rows = trained.test.drop(small.target).head(3)
    return rows.with_columns(pl.col(small.time).dt.to_string("iso:strict")).to_dicts()


@pytest.fixture
def expected(trained: Trained) -> np.ndarray:
    """What the model predicts for them."""
    return estimator.predict(trained.estimator, trained.test.head(3))
