"""The promises of src/ and params.toml, each checked by a function that names what is broken."""

import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
from polars.testing import assert_frame_equal

from rung_ops import contract
from rung_ops.checks.entity_features import well_declared, with_entity_features
from rung_ops.checks.times import times_are_not_moved
from rung_ops.contract import ContractError, explain
from rung_ops.data.parquet_size import refuse_large_frame, refuse_too_large
from rung_ops.data.raw_file import read
from rung_ops.data.row_checks import inspect
from rung_ops.project import hooks
from rung_ops.project.errors import StageError
from rung_ops.project.paths import (
    REPOSITORY,
    SAMPLE,
    links_refused,
    params,
    raw_files,
    raw_files_in,
    shown,
)
from rung_ops.target import shape
from rung_ops.training import estimator

MOST_ROWS = 2_000  # enough for a model, quick to fit
ROUNDING = 1e-4  # of probabilities that add up to 1: some models compute in 32 bits


def importable() -> None:
    """The modules of src/ can be imported, and have the names that the machinery uses."""
    for name in contract.NAMES:
        getattr(contract, name)


def well_typed() -> None:
    """Row, TARGET, TIME, FEATURES, TRUSTED and the functions are of the right kind."""
    row, target, time = contract.Row, contract.TARGET, contract.TIME
    if not (isinstance(row, type) and issubclass(row, pa.DataFrameModel)):
        raise ContractError("dataset.py: Row must be a class of pandera.polars.DataFrameModel.")
    columns = row.to_schema().dtypes
    if target not in columns:
        raise ContractError(
            f"dataset.py: TARGET is {target!r}, which is not a column of Row. "
            f"There are: {', '.join(columns)}."
        )
    estimator.classes()
    if (REPOSITORY / "governance").is_dir():
        estimator.refuse_several_classes("under governance fairness and explanations are of")
    if time is not None and time not in columns:
        raise ContractError(
            f"dataset.py: TIME is {time!r}, which is not a column of Row. "
            "Name a column, or set it to None."
        )
    if time is not None and columns[time].type not in (pl.Date, pl.Datetime):
        raise ContractError(
            f"dataset.py: TIME is `{time}`, which is neither a date nor a datetime."
        )
    features = contract.FEATURES
    if not isinstance(features, list) or not all(isinstance(e, pl.Expr) for e in features):
        raise ContractError("features.py: FEATURES must be a list of Polars expressions.")
    if not features:
        raise ContractError("features.py: FEATURES is empty; it needs one expression or more.")
    trusted = contract.TRUSTED
    if not isinstance(trusted, list) or not all(isinstance(name, str) for name in trusted):
        raise ContractError("model.py: TRUSTED must be a list of names of types, as text.")
    for name in ("load", "build", "score"):
        if not callable(getattr(contract, name)):
            raise ContractError(f"{contract.NAMES[name][0]}.py: `{name}` must be a function.")


def features_read_the_row() -> None:
    """Each feature has a name of its own and reads columns of Row, but not the target."""
    columns = {*contract.Row.to_schema().dtypes, *(e.name for e in contract.ENTITY_FEATURES)}
    names = Counter(expression.meta.output_name() for expression in contract.FEATURES)
    for name, times in names.items():
        if times > 1:
            raise ContractError(
                f"features.py: {times} features are called `{name}`; give each its own alias."
            )
    for expression in contract.FEATURES:
        name = expression.meta.output_name()
        read_columns = set(expression.meta.root_names())
        if contract.TARGET in read_columns:
            raise ContractError(
                f"features.py: `{name}` reads the target `{contract.TARGET}`, which is not known "
                "when the model predicts."
            )
        for unknown in sorted(read_columns - columns):
            raise ContractError(
                f"features.py: `{name}` reads `{unknown}`, which is not a column of Row."
            )


def entity_features_can_be_computed() -> None:
    """ENTITY_FEATURES can be computed for real rows, from events that can be read."""
    featured_sample()


def parameters_fit() -> None:
    """params.toml can be read, and its values fit src/."""
    try:
        settings = params()
    except FileNotFoundError:
        raise ContractError("params.toml is missing: restore it from git.") from None
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"params.toml is not valid TOML: {error}.") from None
    share = _parameter(settings, "split", "test_share")
    if not isinstance(share, float) or not 0 < share < 1:
        raise ContractError(
            f"params.toml: [split] test_share is {share!r}; it must be between 0 and 1."
        )
    if "seed" not in settings:
        raise ContractError("params.toml: seed is missing; add it, such as `seed = 7`.")
    if not isinstance(settings.get("model"), dict):
        raise ContractError("params.toml: the table [model] is missing; build() gets its values.")
    _parameter(settings, "score", "metric")
    _parameter(settings, "score", "higher_is_better")
    known = {*contract.Row.to_schema().dtypes, *(e.meta.output_name() for e in contract.FEATURES)}
    for column in settings.get("report", {}).get("slices", []):
        if column not in known:
            raise ContractError(
                f"params.toml: [report] slices names `{column}`, "
                "which is neither a column nor a feature."
            )


def _parameter(settings: dict[str, Any], table: str, name: str) -> Any:
    try:
        return settings[table][name]
    except (KeyError, TypeError):
        raise ContractError(f"params.toml: `{name}` is missing under [{table}]; add it.") from None


def raw_files_keep_row() -> None:
    """load() reads every raw file, and its rows keep the rules of Row."""
    if refused := links_refused():
        raise ContractError("\n".join(refused))
    if not raw_files():
        raise ContractError("There is no data: put a file into data/sample.")
    for path in raw_files():
        frame = _loaded(path)
        _, problems = inspect(frame, contract.Row.to_schema(), shown(path))
        if problems:
            raise ContractError("\n".join(map(str, problems)))


def _loaded(path: Path) -> pl.DataFrame:
    refuse_too_large(path)
    with _named(f"load() of {shown(path)}"):
        frame = contract.load(path)
        if isinstance(frame, pl.LazyFrame):
            refuse_large_frame(frame, path)
            frame = frame.collect()
    if not isinstance(frame, pl.DataFrame):
        kind = type(frame).__name__
        raise ContractError(
            f"dataset.py: load() returns {kind}; it must be a Polars DataFrame or LazyFrame."
        )
    return frame


def target_may_be_missing() -> None:
    """load() reads a file without the target, as `poe predict` reads rows to predict with it."""
    for path in raw_files():
        readers: dict[str, Any] = {".parquet": pl.read_parquet, ".csv": pl.read_csv}
        table = readers.get(path.suffix)
        if table is None or contract.TARGET not in (frame := table(path, n_rows=50)).columns:
            continue  # another format, or load() makes the target from other columns
        with tempfile.TemporaryDirectory() as folder:
            without = Path(folder) / path.name
            rest = frame.drop(contract.TARGET)
            rest.write_parquet(without) if path.suffix == ".parquet" else rest.write_csv(without)
            try:
                read(without)
            except StageError as error:
                cause = error.__cause__ or error
                sentence = explain(f"load() of a file without `{contract.TARGET}`", cause)
                raise ContractError(f"{sentence} Rows to predict have no target yet.") from error
        return


@cache
def sample() -> pl.DataFrame:
    """Take up to MOST_ROWS rows of the first raw file, in an order of their own."""
    path = (raw_files_in(SAMPLE) or raw_files())[0]
    rows = inspect(_loaded(path), contract.Row.to_schema(), shown(path))[0]
    return rows.sample(min(MOST_ROWS, rows.height), seed=1)


@cache
def featured_sample() -> pl.DataFrame:
    """Add the entity features to the sample."""
    return with_entity_features(sample())


def features_can_be_evaluated() -> None:
    """FEATURES can be evaluated on real rows, and give one row each."""
    for expression in contract.FEATURES:
        name = expression.meta.output_name()
        with _named(f"features.py: evaluating `{name}`"):
            values = featured_sample().select(expression)
        if values.height != sample().height:
            raise ContractError(
                f"features.py: `{name}` gives {values.height} values for {sample().height} rows; "
                "it must give one for each."
            )


def features_read_their_own_row_only() -> None:
    """FEATURES of one row equal those of the same row among others: a service sees one at a time.

    An average over a column would be another number there.
    """
    rows = featured_sample().head(50)
    together = rows.select(contract.FEATURES)
    alone = pl.concat([rows[i : i + 1].select(contract.FEATURES) for i in range(rows.height)])
    for name in together.columns:
        try:
            assert_frame_equal(together.select(name), alone.select(name))
        except AssertionError:
            raise ContractError(
                f"features.py: `{name}` of one row differs from `{name}` of the same row among "
                "others; a feature may read its own row only."
            ) from None


def a_saved_model_answers_the_same() -> None:
    """A model that build() makes can be fitted, saved, loaded, and predicts finite numbers."""
    rows, settings = featured_sample(), params()
    with _named("build()"):
        model = contract.build(settings["model"] | {"seed": settings["seed"]})
    if not hasattr(model, "fit"):
        raise ContractError(
            f"model.py: build() returns {type(model).__name__}; it must return a model with fit() "
            "and predict()."
        )
    with _named("fit() of the model that build() makes"):
        fitted = model.fit(estimator.features(rows), estimator.truth(rows))
    if fitted is None:
        raise ContractError(
            "model.py: fit() returns nothing; it must return the fitted model, as `return self` does."
        )
    expected = _predicted(fitted, rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skops"
        try:
            with _named("saving and loading the model"):
                estimator.save(fitted, path)
                loaded = estimator.load(path)
        except StageError as error:
            if isinstance(error, ContractError):
                raise
            raise ContractError(f"model.py: {error}") from error
        again = _predicted(loaded, rows)
    if not np.array_equal(expected, again):
        raise ContractError("model.py: a saved and loaded model predicts other values than before.")


def _predicted(model: Any, rows: pl.DataFrame) -> np.ndarray:
    with _named("predicting with the model that build() makes"):
        predicted = estimator.predict(model, rows)
    classes = estimator.classes()
    if predicted.shape != shape(rows.height, classes):
        each = f"{len(classes)} probabilities" if classes else "one number"
        raise ContractError(
            f"model.py: the model predicts an array of shape {predicted.shape} for {rows.height} "
            f"rows; it must give {each} for each."
        )
    if not np.isfinite(predicted.astype(float)).all():
        raise ContractError("model.py: the model predicts values that are not finite numbers.")
    if classes and (predicted.min() < 0 or np.abs(predicted.sum(axis=1) - 1).max() > ROUNDING):
        raise ContractError(
            "model.py: the model predicts probabilities of classes that do not add up to 1."
        )
    return predicted


def score_gives_the_metric() -> None:
    """score() returns figures by name, among them the one that `[score] metric` names."""
    actual = estimator.truth(sample())
    with _named("score()"):
        figures = contract.score(actual, _guesses(len(actual)))
    if not isinstance(figures, dict):
        kind = type(figures).__name__
        raise ContractError(
            f"model.py: score() returns {kind}; it must be a dict of figures by name."
        )
    metric = params()["score"]["metric"]
    if metric not in figures:
        raise ContractError(
            f"params.toml: [score] metric is `{metric}`, but score() returns {', '.join(figures)}."
        )
    for name, value in figures.items():
        with _named(f"reading `{name}` of score() as a number"):
            float(value)


def _guesses(n_rows: int) -> np.ndarray:
    """Make predictions for score() to try: probabilities, or those of each class."""
    if classes := estimator.classes():
        return np.random.default_rng(1).dirichlet(np.ones(len(classes)), n_rows)
    return np.linspace(0.1, 0.9, n_rows)


def hooks_can_be_called() -> None:
    """Each hook of `[tool.rung.hooks]` can be imported and takes the arguments it will get."""
    hooks.check_all()


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except StageError:
        raise
    except Exception as error:  # src/ is the user's, and may raise anything
        raise ContractError(explain(what, error)) from error


# Each with those that must hold before it can be checked.
PROMISES: dict[Callable[[], None], tuple[Callable[[], None], ...]] = {
    importable: (),
    well_typed: (importable,),
    well_declared: (well_typed,),
    features_read_the_row: (well_declared,),
    parameters_fit: (well_typed,),
    raw_files_keep_row: (well_typed,),
    target_may_be_missing: (raw_files_keep_row,),
    times_are_not_moved: (raw_files_keep_row,),
    entity_features_can_be_computed: (well_declared, raw_files_keep_row),
    features_can_be_evaluated: (features_read_the_row, entity_features_can_be_computed),
    features_read_their_own_row_only: (features_can_be_evaluated,),
    a_saved_model_answers_the_same: (features_can_be_evaluated, parameters_fit),
    score_gives_the_metric: (raw_files_keep_row, parameters_fit),
    hooks_can_be_called: (),
}


@cache
def broken(promise: Callable[[], None]) -> str | None:
    """Check a promise once; return the sentence that says what is broken, or None."""
    try:
        promise()
    except StageError as error:
        return str(error)
    return None


def cannot_be_checked(promise: Callable[[], None]) -> bool:
    """Tell whether a promise rests on one that does not hold."""
    return any(cannot_be_checked(before) or broken(before) for before in PROMISES[promise])
