"""Drafts of a project's own files from a file of rows, made by the library that the project brings.

Rung itself does not install Polars: uv runs the project's wheel with it (decision 67).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung.errors import RungError
from rung.options import expanded
from rung.system import process

LIBRARY = "vendor/rung_ops-*.whl"
EJECTED = "machinery"
SAMPLE = "data/sample/"
BESIDE = ("polars>=1.30", "ruff>=0.12")  # reads the rows; lays out what is written
NO_ROWS = "`--target` names a column of a file: add `--from-file FILE`."
PYTHON = ">=3.11,<3.14"


@dataclass(frozen=True)
class Wanted:
    """What to draft: the rows, the column to predict, and a model's class, arguments and metrics, if known."""

    file: Path
    target: str
    model: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[str] = ()


def draft(folder: Path, wanted: Wanted) -> str:
    """Replace the example of a rendered project; return what was inferred, a line each."""
    file = expanded(wanted.file).absolute()
    if not file.is_file():
        raise RungError(f"{file} is not a file. Give the path of a CSV or Parquet file of rows.")
    uv = process.uv()
    if uv is None:
        raise RungError(
            "uv is missing, which reads the file of `--from-file`. `rung doctor` says how to get it."
        )
    library = next(folder.glob(LIBRARY), folder / EJECTED)
    packages = [word for package in (str(library), *BESIDE) for word in ("--with", package)]
    options = ["--target", wanted.target, "--replace"]
    if wanted.model:
        options += ["--model", wanted.model, "--settings", json.dumps(wanted.settings)]
    options += [word for metric in wanted.metrics for word in ("--metric", metric)]
    command = [uv, "run", "--no-project", "--quiet", "--python", PYTHON, *packages]
    command += ["rung-ops", "draft", *options, "--", str(file)]
    code, output = process.attempt(f"reading {file.name}", command, folder)
    if code == 2 and "Traceback" not in output:
        raise RungError(output.strip())
    if code:
        advice = (
            process.NO_DAYS if process.too_new(output) else "`rung doctor` looks for the cause."
        )
        raise RungError(f"{output.strip()}\n`{wanted.file}` was not read: uv failed. {advice}")
    return output.strip()
