"""Measure the stages of a project on rung 4 on millions of rows: CPU, wall time, peak memory."""

import argparse
import datetime
import json
import os
import platform
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from page import publish

from rung_ops import prediction_log

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "large"
LIGHTGBM = ROOT / "tests/assets/own_data/frameworks/lightgbm"
# In the order in which they run: what the pipeline's stages, or None, are called by.
STAGES: dict[str, tuple[str, ...]] = {
    "incoming": ("incoming",),
    **{
        name: ("stage", f"pipeline/{name}.py")
        for name in ("ingest", "validate", "split", "train", "evaluate")
    },
    "compare": ("baseline",),
    "slices": ("slices",),
    "refit": ("refit",),
    "track": ("track",),
    "release": ("release",),
}
DEPLOY = ("deploy", "production", "--at-once", "--without-gate", "none is judged here")
START = datetime.datetime(2020, 1, 1)
END = START + datetime.timedelta(days=730)
LOGGED = datetime.timedelta(days=6)  # before END
LOG_ROWS = 500_000  # of a file of the prediction log
SOURCES = {
    "dataset.py": '''"""Orders, twenty columns."""

from pathlib import Path

import pandera.polars as pa
import polars as pl

TARGET: str = "returned"
TIME: str | None = "at"


class Row(pa.DataFrameModel):
    """One order."""

    order: pl.Int64 = pa.Field(ge=0)
    at: pl.Datetime
    shop: str = pa.Field(isin=[f"shop {number}" for number in range(40)])
    country: str = pa.Field(str_matches=r"^[A-Z]{2}$")
    channel: str = pa.Field(isin=["app", "phone", "web"])
    product: str = pa.Field(str_length={"min_value": 2, "max_value": 12})
    items: pl.Int16 = pa.Field(ge=1, le=500)
    visits: pl.Int32 = pa.Field(ge=0)
    age: pl.Int16 = pa.Field(ge=18, le=120)
    distance: pl.Int32 = pa.Field(ge=0, le=20_000)
    orders: pl.Int32 = pa.Field(ge=0)
    returns: pl.Int32 = pa.Field(ge=0)
    price: float = pa.Field(ge=0)
    discount: float = pa.Field(ge=0, le=1)
    weight: float = pa.Field(gt=0, nullable=True)
    rating: float = pa.Field(ge=0, le=5, nullable=True)
    seconds: float = pa.Field(ge=0)
    balance: float
    score: float = pa.Field(ge=0, le=1)
    returned: bool

    class Config:
        """An order is there once."""

        unique = ["order"]


def load(path: Path) -> pl.LazyFrame:
    """Read one raw file."""
    return pl.scan_parquet(path)
''',
    "features.py": '''"""What the model sees."""

import polars as pl

FEATURES: list[pl.Expr] = [
    pl.col("channel").replace_strict({"app": 0, "phone": 1, "web": 2}, return_dtype=pl.Int8),
    pl.col("items", "visits", "age", "distance", "orders", "returns"),
    pl.col("price", "discount", "weight", "rating", "seconds", "balance", "score"),
    pl.col("at").dt.hour().alias("hour"),
]
''',
    "model.py": '''"""The model."""

from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

TRUSTED: list[str] = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]


def build(params: Any) -> HistGradientBoostingClassifier:
    """Make an untrained model."""
    return HistGradientBoostingClassifier(max_iter=20, random_state=params["seed"])


def score(truth: Any, predicted: Any) -> dict[str, float]:
    """Score predictions."""
    return {"auc": float(roc_auc_score(truth, predicted))}
''',
}
PARAMS = """seed = 7

[split]
test_share = 0.2
refit = true
{split}

[model]

[score]
metric = "auc"
higher_is_better = true

[report]
slices = ["channel"]
"""
XGBOOST = {
    "frame": '''"""The model."""

from typing import Any

from sklearn.metrics import roc_auc_score
from xgboost import XGBClassifier

TRUSTED: list[str] = ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]


def build(params: Any) -> XGBClassifier:
    """Make an untrained model."""
    return XGBClassifier(n_estimators=20, random_state=params["seed"])


def score(truth: Any, predicted: Any) -> dict[str, float]:
    """Score predictions."""
    return {"auc": float(roc_auc_score(truth, predicted))}
''',
    "parts": '''"""Stage 4: fit the model to parts."""

from typing import Any

from rung_ops.stages import TRAIN, contract, fit_xgboost, params, read_parts, save_model, stage


def fit_parts(parts: Any) -> Any:
    """Fit; `rung-ops refit` calls this, too."""
    settings = params()
    return fit_xgboost(contract.build(settings["model"] | {"seed": settings["seed"]}), parts)


@stage
def main() -> None:
    """Train and save the model."""
    save_model(fit_parts(read_parts(TRAIN)))


if __name__ == "__main__":
    main()
''',
}
LIGHTGBM_PARAMS = """seed = 7

[split]
test_share = 0.2
refit = true
{split}

[model]
objective = "binary"
rounds = 20
deterministic = true
force_col_wise = true
verbosity = -1

[score]
metric = "mae"
higher_is_better = false

[report]
slices = ["channel"]
"""
PAGE = """<!-- large -->
## Millions of rows

The stages of a project on rung 4 on generated rows of twenty columns, in Parquet parts of {part:,} rows, each stage in a
process of its own. Memory is the largest resident set, with pages of files that are mapped.
[split] of params.toml: {split}. {date}, {machine}; Python {python}, polars {polars}.

|Rows|Stage|CPU s|Wall s|Peak GB|Before: CPU s|Wall s|Peak GB|
|-:|-|-:|-:|-:|-:|-:|-:|
{lines}

Made by `uv run --group machinery python benchmarks/large.py FOLDER --write docs/benchmarks.md`; the columns "before"
by `--before`, with a checkout of an earlier version.
<!-- /large -->
"""


class Cost(NamedTuple):
    """What a process took; None where it failed."""

    cpu: float
    wall: float
    peak: float  # GB


def rows(first: int, number: int, interval: datetime.timedelta) -> pl.DataFrame:
    """Generate rows; the number of the first is the seed."""
    random = np.random.default_rng([7, first])
    order = np.arange(first, first + number)
    score = random.random(number)
    text = {
        "shop": [f"shop {value}" for value in range(40)],
        "country": ["AT", "CH", "DE", "FR", "IT", "NL", "PL", "SE"],
        "channel": ["app", "phone", "web"],
        "product": [f"p{value:05}" for value in range(2_000)],
    }
    drawn = {
        name: pl.Series(values).gather(random.integers(0, len(values), number))
        for name, values in text.items()
    }
    return pl.DataFrame(
        {
            "order": order,
            "at": pl.Series(order, dtype=pl.Int64) * int(interval / datetime.timedelta.resolution),
            **drawn,
            "items": random.integers(1, 20, number, dtype=np.int16),
            "visits": random.integers(0, 1_000, number, dtype=np.int32),
            "age": random.integers(18, 90, number, dtype=np.int16),
            "distance": random.integers(0, 2_000, number, dtype=np.int32),
            "orders": random.integers(0, 300, number, dtype=np.int32),
            "returns": random.integers(0, 50, number, dtype=np.int32),
            "price": random.gamma(2.0, 30.0, number).round(2),
            "discount": random.random(number).round(2),
            "weight": random.gamma(2.0, 1.0, number) + 0.01,
            "rating": (random.random(number) * 5).round(1),
            "seconds": random.gamma(1.0, 60.0, number).round(1),
            "balance": random.normal(0, 100, number).round(2),
            "score": score,
            "returned": random.random(number) < 0.1 + 0.4 * score,
        }
    ).with_columns(at=pl.lit(START) + pl.duration(microseconds="at"))


def generate(folder: Path, number: int, part: int) -> None:
    """Write rows as parts, in order of time."""
    interval = (END - START) / number
    for first in range(0, number, part):
        frame = rows(first, min(part, number - first), interval)
        frame.write_parquet(folder / f"part-{first // part:04}.parquet")


def join(folder: Path, file: Path) -> None:
    """Write the rows of all parts into a file, as predict scores a file."""
    pl.scan_parquet(folder / "*.parquet").sink_parquet(file)


def log(made: Path, number: int) -> None:
    """Write all rows as answered by the release that production serves, and their outcomes."""
    (release,) = (path.name for path in (made / "releases/production/bundles").glob("[!.]*"))
    features = runpy.run_path(str(made / "src" / PACKAGE / "features.py"))["FEATURES"]
    folder, outcomes = made / "logs/production/predictions", made / "data/outcomes"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(outcomes, ignore_errors=True)
    outcomes.mkdir(parents=True)
    interval = (END - START) / number
    for file, first in enumerate(range(0, number, LOG_ROWS)):
        frame = rows(first, min(LOG_ROWS, number - first), interval)
        identity, row = pl.format("{}-{}", pl.lit("0" * 32), "order"), frame.drop("returned")
        time = END - (1 - first / number) * LOGGED
        answered = frame.select(
            identity.alias("id"),
            pl.lit(time.replace(tzinfo=datetime.UTC)).cast(prediction_log.TIME).alias("time"),
            pl.lit(release).alias("release"),
            pl.lit("serving").alias("arm"),
            row.to_struct("row"),
            frame.select(features).to_struct("features"),
            prediction=0.1 + 0.4 * pl.col("score"),
            defaults_used=pl.lit([], dtype=pl.List(pl.String)),
        )
        prediction_log.write(answered, folder, "writer", file, file)
        known = frame.select(identity.alias("id"), "returned")
        known.write_parquet(outcomes / f"{file:04}.parquet")


def project(folder: Path) -> Path:
    """Render a project on rung 4, and put this model into it."""
    made = folder / "project"
    if made.exists():
        return made
    answers = ("--defaults", "--level", "4", "--use-case", "velocity")
    template = ("--template", str(ROOT), "--template-version", "HEAD")
    home = os.environ | {"HOME": str(folder)}  # rung notes there which templates are trusted
    subprocess.run(
        ["rung", "new", made, *answers, "--data", f"package={PACKAGE}", *template],
        check=True,
        env=home,
    )
    for name, text in SOURCES.items():
        (made / "src" / PACKAGE / name).write_text(text, "utf-8")
    shutil.rmtree(made / "data/sample")
    (made / "data/sample").mkdir()
    return made


def put_lightgbm(made: Path, rows: str) -> None:
    """Put a model of LightGBM into the project, which reads a `frame` of rows or `parts`."""
    shutil.copy(LIGHTGBM / "model.py", made / "src" / PACKAGE)
    if rows == "parts":
        shutil.copy(LIGHTGBM / "train.py", made / "pipeline")


def put_xgboost(made: Path, rows: str) -> None:
    """Put a model of XGBoost into the project, which gets a `frame` of rows or `parts`."""
    (made / "src" / PACKAGE / "model.py").write_text(XGBOOST["frame"], "utf-8")
    if rows == "parts":
        (made / "pipeline/train.py").write_text(XGBOOST["parts"], "utf-8")


def measured(library: Path, made: Path, *words: str, codes: tuple[int, ...] = (0,)) -> Cost | None:
    """Run a verb of a library in the project; return what it cost, None after another exit code."""
    python = os.pathsep.join([str(library / "machinery"), str(made / "src")])
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "rung_ops", *words],
        cwd=made,
        env=os.environ | {"PYTHONPATH": python},
        stdout=sys.stderr,
    )
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in codes:
        return None
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1e6)


def run(library: Path, made: Path, number: int) -> dict[str, Cost | None]:
    """Measure all stages."""
    costs = {}

    def measure(name: str, *words: str, codes: tuple[int, ...] = (0,)) -> None:
        costs[name] = measured(library, made, *words, codes=codes)
        print(f"  {name}: {costs[name]}", file=sys.stderr)

    for name, words in STAGES.items():
        measure(name, *words)
    apart(join, made / "data/incoming/orders", made / "orders.parquet")
    measure("predict", "predict", "orders.parquet", "reports/scored.parquet")
    shutil.rmtree(made / "releases/production", ignore_errors=True)
    measured(library, made, *DEPLOY)
    apart(log, made, number)
    measure("monitor", "monitor", "--now", END.isoformat(), codes=(0, 1))  # 1: it found problems
    return costs


def apart(function: Callable[..., None], *arguments: Any) -> None:
    """Call in a process of its own: a child's peak is at least that of the process that starts it."""
    process = get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{function.__name__}() ended with {process.exitcode}")


def cells(cost: Cost | None) -> str:
    """Write a cost as three cells of a table."""
    return "-|-|-" if cost is None else f"{cost.cpu:.1f}|{cost.wall:.1f}|{cost.peak:.2f}"


def main() -> None:
    """Measure, and print the section or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="room for the rows: 1 GB for each million")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--part", type=int, default=5_000_000, help="rows of a raw file")
    parser.add_argument("--split", default="test_rows = 1_000_000\ntrain_rows = 2_000_000")
    framework = parser.add_mutually_exclusive_group()
    framework.add_argument("--lightgbm", choices=["frame", "parts"], help="what its fit() gets")
    framework.add_argument("--xgboost", choices=["frame", "parts"], help="what it is fitted to")
    parser.add_argument("--library", type=Path, default=ROOT, help="a checkout to measure")
    parser.add_argument("--before", type=Path, help="figures of an earlier version, from --figures")
    parser.add_argument("--figures", type=Path, help="write the figures as JSON, too")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    before = json.loads(options.before.read_text()) if options.before else {}
    figures: dict[str, dict[str, Cost | None]] = {}
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="large-", dir=options.folder) as room:
        made = project(Path(room))
        params = PARAMS
        if options.lightgbm:
            put_lightgbm(made, options.lightgbm)
            params = LIGHTGBM_PARAMS
        if options.xgboost:
            put_xgboost(made, options.xgboost)
        (made / "params.toml").write_text(params.format(split=options.split), "utf-8")
        measured(options.library, made, "keys")
        for number in options.rows:
            parts = made / "data/incoming/orders"
            shutil.rmtree(parts, ignore_errors=True)
            parts.mkdir()
            apart(generate, parts, number, options.part)
            print(f"{number:,} rows", file=sys.stderr)
            figures[str(number)] = run(options.library, made, number)
    if options.figures:
        options.figures.write_text(json.dumps(figures, indent=2))
    lines = []
    for number, costs in figures.items():
        for stage, cost in costs.items():
            old = before.get(number, {}).get(stage)
            earlier = cells(Cost(*old) if old else None)
            lines.append(f"|{int(number):,}|{stage}|{cells(cost)}|{earlier}|")
    page = PAGE.format(
        part=options.part,
        split=", ".join(f"`{line}`" for line in options.split.splitlines()) or "no limits",
        date=f"{datetime.date.today():%d %B %Y}",
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        python=platform.python_version(),
        polars=pl.__version__,
        lines="\n".join(lines),
    )
    publish(page, "large", options.write)


if __name__ == "__main__":
    main()
