"""Run in a project's environment: write releases that a test tells apart, and what they answer.

`python served_releases.py FOLDER` adds to releases/candidates, beside what `poe release` made:

- v101 `other`: learned the opposite, so that it contradicts on nearly every row;
- v102 `alike`: learned from other rows, and agrees;
- v103 `slow`: after SLOW_AFTER rows it computes SLOW_ROUNDS rounds of a hash on each, without
  Python's lock, as a model does: 12,000 take about three milliseconds. After BREAK_AFTER rows it
  fails on each.

FOLDER gets rows.json (raw rows), names.json (name to id of the release) and expected.json (id to
the predictions of these rows).
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path.cwd()))

from rung_ops import contract
from rung_ops.training import estimator
from rung_ops.release import signing
from rung_ops.release import make
from rung_ops.project import paths
from rung_ops.model.bundle import read_manifest
from rung_ops.model import released
from rung_ops.project import current
from rung_ops.project.paths import (params, project_name)

SLOW = """

def _heavy(column: pl.Series) -> pl.Series:
    import hashlib
    import os

    rounds = int(os.environ.get("SLOW_ROUNDS", "1"))
    _heavy.rows = getattr(_heavy, "rows", 0) + len(column)
    if _heavy.rows < int(os.environ.get("SLOW_AFTER", "0")):
        return column
    if _heavy.rows > float(os.environ.get("BREAK_AFTER", "inf")):
        raise ValueError("it has seen enough rows")
    for _ in range(len(column)):
        hashlib.pbkdf2_hmac("sha256", b"flight", b"late", rounds)
    return column


FEATURES[3] = pl.col("distance").map_batches(_heavy, return_dtype=pl.Int16)
"""
FACTS = {
    "model": project_name(),
    "run_id": "0" * 32,
    "git_commit": "0" * 40,
    "git_author": "Ada Developer",
    "git_dirty": False,
    "data_hash": "0" * 64,
    "params_hash": "0" * 64,
}


def fitted(rows: pl.DataFrame):
    settings = params()
    model = contract.build(settings["model"] | {"seed": settings["seed"]})
    return model.fit(estimator.features(rows), estimator.truth(rows))


def main() -> None:
    folder = Path(sys.argv[1])
    train, test = pl.read_parquet(current().train), pl.read_parquet(current().test)
    key = signing.private_key()
    opposite = train.with_columns(~pl.col(contract.TARGET))
    good = estimator.load(current().model_file)
    (package,) = Path("src").iterdir()
    with tempfile.TemporaryDirectory() as directory:
        slow = Path(directory) / package.name
        shutil.copytree(package, slow)
        with (slow / "features.py").open("a") as written:
            written.write(SLOW)
        models = {
            "other": (101, fitted(opposite), None),
            "alike": (102, fitted(train.sample(fraction=0.9, seed=1)), None),
            "slow": (103, good, slow),
        }
        candidates = paths.candidates()
        names = {"good": next(path.name for path in candidates.glob("v1-*"))}
        for name, (version, model, source) in models.items():
            facts = FACTS | {"version": str(version)}
            made = make.write(candidates, model, train, test, facts, key, source=source)
            names[name] = made.name
    rows = test.drop(contract.TARGET).sample(500, seed=3)
    expected = {
        read_manifest(candidates / identity)["id"]: released.load(
            candidates / identity, paths.public_key().read_bytes()
        )
        .score(rows)[1]
        .tolist()
        for name, identity in names.items()
        if name != "slow"
    }
    raw = rows.with_columns(pl.col("scheduled").dt.strftime("%Y-%m-%dT%H:%M:%S"))
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (("rows", raw.to_dicts()), ("names", names), ("expected", expected)):
        (folder / f"{name}.json").write_text(json.dumps(value))


if __name__ == "__main__":
    main()
