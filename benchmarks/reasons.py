"""Measure the reasons of the credit example: their stability, their signs and their time."""

import argparse
import datetime
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from page import publish

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["RUNG_GAME"] = "governance"

from machinery.tests import in_project  # noqa: I001  first: changes to a project
import numpy as np
import polars as pl
from machinery.tests.conftest import FACTS, private_key
from rung_ops.data.ingest import sample_rows
from rung_ops.project.parameters import ExplainSettings
from rung_ops.project.paths import params
from rung_ops.release import make, signing
from rung_ops.model import reasons, released
from rung_ops.model.reasons import Reasons
from rung_governance.documents import explain

PAGE = """<!-- reasons -->
## Reasons of a prediction

The credit example: {refused} of {held_out} held-out applicants have a probability of
{threshold:g} or more: the refused. *Same top {count}*: their share whose {count} reasons are the same in two
draws of the background, mean of {draws} pairs (first line and served: of 3; served with the training
rows in another order). {date}, {machine}.

|Reasons|Same top {count}|Refused who see a favourable factor|
|-|-:|-:|
{lines}

So a release carries the mean of each feature's term over at most 200,000 training rows. Trees of LightGBM need no
background.

Milliseconds, the fastest of 50:

|Model|Method|Prediction of a row|Its reasons|Reasons of 100 rows|
|-|-|-:|-:|-:|
{times}

Made by `uv run --group machinery python benchmarks/reasons.py --write docs/benchmarks.md`.
<!-- /reasons -->
"""
BACKGROUND = ExplainSettings().background
THRESHOLD = 0.5  # from here on an applicant is refused
COUNT = 4
DRAWS, FEW_DRAWS = 20, 3  # pairs; few of what takes minutes
DRAWN = (50, 100, 200, 400)  # rows of a background


def released(model: Any, train: pl.DataFrame, test: pl.DataFrame) -> released.Release:
    """Write a release of a model and load it as the service does."""
    key = private_key()
    folder = make.write(Path(tempfile.mkdtemp()), model, train, test, FACTS, key, {})
    return released.load(folder, signing.public_key_of(key))


def boosted(train: pl.DataFrame) -> Any:
    """Fit LightGBM to the same features."""
    from lightgbm import LGBMClassifier
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    from rung_ops import contract
    from rung_ops.training import estimator

    features = estimator.features(train)
    texts = [name for name, kind in features.schema.items() if kind == pl.String]
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", codes, texts)], remainder="passthrough")
    model = make_pipeline(columns, LGBMClassifier(n_estimators=200, verbose=-1))
    return model.fit(features, train[contract.TARGET].to_numpy().astype(int))


def agreement(draw: Callable[[int], list[frozenset[Any]]], pairs_of_draws: int) -> float:
    """Return the share of applicants whose reasons are the same in two draws; mean over pairs."""
    pairs = [(draw(2 * number), draw(2 * number + 1)) for number in range(pairs_of_draws)]
    same = [one == other for two in pairs for one, other in zip(*two, strict=True)]
    return float(np.mean(same))


def top(values: np.ndarray) -> list[frozenset[int]]:
    """Name the largest values of each row."""
    return [frozenset(row) for row in np.argsort(-values, axis=1, kind="stable")[:, :COUNT]]


def milliseconds(call: Callable[[], object]) -> float:
    """Time a call: the fastest of 50."""
    return min(_seconds(call) for _ in range(50)) * 1000


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Example:
    """The credit example: its rows, its model, and releases of that and of boosted trees.

    Attributes:
        model: the fitted logistic regression.
        logistic, trees: the releases.
        refused: features of the held-out applicants that the model refuses.
    """

    train: pl.DataFrame
    test: pl.DataFrame
    model: Any
    logistic: released.Release
    trees: released.Release
    refused: pl.DataFrame

    @classmethod
    def make(cls) -> "Example":
        """Train and release."""
        train, test = in_project.split(sample_rows(), 0.25, params()["seed"])  # type: ignore[attr-defined]
        model = in_project.fit(train)  # type: ignore[attr-defined]
        logistic, trees = released(model, train, test), released(boosted(train), train, test)
        features, predictions = logistic.score(test)
        refused = features.filter(pl.Series(predictions >= THRESHOLD))
        return cls(train, test, model, logistic, trees, refused)


def of_the_stage(example: Example) -> str:
    """Measure the stage `explain` with its defaults, as applicants would see it: signs are mixed."""

    def report(seed: int) -> np.ndarray:
        background = example.train.sample(BACKGROUND, seed=seed)
        features = background.select(example.logistic.features)
        return explain.shap_values(example.model, example.refused, features, seed, 1e9)[0]

    mixed = report(0)
    largest = np.argsort(-np.abs(mixed), axis=1)[:, : explain.REASONS]
    favourable = float(np.mean((np.take_along_axis(mixed, largest, 1) < 0).any(axis=1)))
    share = agreement(lambda seed: top(np.abs(report(seed))), FEW_DRAWS)
    what = f"`rung-ops explain`, {BACKGROUND} rows drawn, largest of either sign"
    return f"|{what}|{share:.0%}|{favourable:.0%}|"


def of_drawn_rows(example: Example) -> Iterator[str]:
    """Measure exact effects against backgrounds of some drawn rows."""
    logistic = example.logistic
    base = reasons.typical(logistic.contract, logistic.features)
    additive = reasons.AdditiveEffects(logistic.predictor, "classification", base)
    terms = additive(example.refused)[:, :-1]
    background = additive(example.train.select(logistic.features))[:, :-1]

    def draw(size: int, seed: int) -> list[frozenset[int]]:
        some = np.random.default_rng(seed).choice(len(background), size, replace=False)
        return top(terms - background[some].mean(axis=0))

    for size in DRAWN:
        share = agreement(partial(draw, size), DRAWS)
        yield f"|exact, adverse only, {size} rows drawn|{share:.0%}|none|"


def of_the_service(example: Example) -> str:
    """Measure what is served, with the training rows in another order each time."""

    def served(seed: int) -> list[frozenset[str]]:
        shuffled = example.train.sample(fraction=1, shuffle=True, seed=seed)
        reasons = reasons_of(released(example.model, shuffled, example.test))
        strongest = reasons.strongest(example.refused, COUNT)
        return [frozenset(each.text for each in row) for row in strongest]

    known = served(0)
    share = float(
        np.mean([a == b for seed in range(1, 4) for a, b in zip(known, served(seed), strict=True)])
    )
    rows = example.train.height
    return f"|**served**: exact, adverse only, all {rows} training rows|{share:.0%}|none|"


def timed(name: str, each: released.Release, test: pl.DataFrame) -> str:
    """Time a release: a prediction, its reasons, and those of 100 rows."""
    reasons, inputs = reasons_of(each), each.score(test)[0]
    figures = [
        milliseconds(lambda: each.score(test[:1])),
        milliseconds(lambda: reasons.strongest(inputs[:1], COUNT)),
        milliseconds(lambda: reasons.strongest(inputs[:100], COUNT)),
    ]
    shown = "|".join(f"{figure:.2f}" for figure in figures)
    return f"|{name}, in {each.manifest['format']}|{reasons.method}|{shown}|"


def reasons_of(each: released.Release) -> Reasons:
    """Return the reasons of a release that has them."""
    assert isinstance(each.reasons, Reasons)
    return each.reasons


def measured() -> str:
    """Measure everything; return the section of the page."""
    example = Example.make()
    lines = [of_the_stage(example), *of_drawn_rows(example), of_the_service(example)]
    times = [
        timed("logistic regression", example.logistic, example.test),
        timed("LightGBM, 200 trees", example.trees, example.test),
    ]
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return PAGE.format(
        refused=example.refused.height,
        held_out=example.test.height,
        threshold=THRESHOLD,
        count=COUNT,
        draws=DRAWS,
        date=f"{datetime.date.today():%-d %B %Y}",
        machine=f"{machine}, load {os.getloadavg()[0]:.1f}",
        lines="\n".join(lines),
        times="\n".join(times),
    )


def main() -> None:
    """Print the section, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="a Markdown page; printed by default")
    page = parser.parse_args().write
    publish(measured(), "reasons", (ROOT / page) if page else None)


if __name__ == "__main__":
    main()
