"""Where everything lies, and the parameters.

Rung keeps this file; change it through src/ and params.toml.
"""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

SAMPLE = ROOT / "data/sample"
INCOMING = ROOT / "data/incoming"
WAREHOUSE = INCOMING / "warehouse"
INGESTED = ROOT / "data/ingested"
ROWS = ROOT / "data/rows.parquet"
TRAIN = ROOT / "data/train.parquet"
TEST = ROOT / "data/test.parquet"
MODEL = ROOT / "model/model.skops"
REPORTS = ROOT / "reports"
METRICS = REPORTS / "metrics.json"
PLOTS = REPORTS / "plots"
PREDICTIONS = REPORTS / "predictions.parquet"
REPORT = REPORTS / "report.html"
VALIDATION = REPORTS / "validation.json"

# Files that stand beside the data and are none.
BESIDE = {".md", ".py", ".dvc", ".txt"}


def raw_files() -> list[Path]:
    """List the raw files in data/sample and data/incoming, in a fixed order.

    The sample is there to begin with. Once rows were taken from a warehouse it is left out: they
    may be the same rows.
    """
    taken = raw_files_in(WAREHOUSE)
    return raw_files_in(INCOMING) + ([] if taken else raw_files_in(SAMPLE))


def raw_files_in(folder: Path) -> list[Path]:
    """List the raw files in a folder and below, in a fixed order."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(p for p in found if p.suffix not in BESIDE and not p.name.startswith("."))


def params() -> dict[str, Any]:
    """Read params.toml."""
    return tomllib.loads((ROOT / "params.toml").read_text(encoding="utf-8"))


def project_name() -> str:
    """Read the project's name from pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["name"])


def shown(path: Path) -> str:
    """Name a path the way a person at the project's root would type it."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
