"""Stage: fit the model that is released again, to all rows, once the test rows have judged it.

The gate judges model/model.skops, which has not learned from the test rows. With `refit = true` under
[split] of params.toml the same settings are fitted to the rows of the window up to now, those of the
test as well; a release holds that model, and shadow and canary judge it. The stage also records which
rows were used.
"""

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops import contract
from rung_ops.contract.forecast import has_time, made_at
from rung_ops.data import blocks
from rung_ops.errors import StageError
from rung_ops.model import bundle
from rung_ops.project import current
from rung_ops.project.parameters import SplitSettings
from rung_ops.project.paths import made, shared, shown
from rung_ops.system import files
from rung_ops.system.printable import counted, printable
from rung_ops.training import estimator, judged_rows, window
from rung_ops.training.window import Parts, Window

JUDGED = "judged.json"  # beside the refitted model: the hash of the one whose settings it has
ROWS = "rows.json"  # in reports/: which rows were used
MOST_NAMED = 10  # drifted features


def served_model() -> Path:
    """Return the file of the model that predicts: the refitted one, unless another was judged since."""
    refitted, judged = current().refitted, current().model_file
    record = refitted.parent / JUDGED
    if not refitted.exists() or not record.is_file():
        return judged
    hash_ = json.loads(record.read_text(encoding="utf-8"))["model"]
    return refitted if hash_ == bundle.digest(judged) else judged


def used_rows(
    train: pl.DataFrame, test: pl.DataFrame, refitted: pl.DataFrame | None = None
) -> dict[str, Any]:
    """Describe the rows that a model was trained and judged on, and fitted to again."""
    settings = window.settings()
    return {
        "window": settings.window,
        "begins": None if settings.begins is None else str(settings.begins),
        "trained": _taught(train, settings),
        "judged": _span(test),
        "refitted": None if refitted is None else _taught(refitted, settings),
    }


def _taught(rows: pl.DataFrame, settings: SplitSettings) -> dict[str, Any]:
    is_sampled = rows.height == settings.train_rows
    return _span(rows) | ({"sampled": True} if is_sampled else {})


def _span(rows: pl.DataFrame) -> dict[str, Any]:
    """Return the number of rows, and of rows with a TIME the first and the last."""
    if not has_time(rows):
        return {"rows": rows.height}
    time = rows[str(contract.TIME)]
    first, last = (moment.isoformat() for moment in (time.min(), time.max()))  # type: ignore[union-attr]
    return {"from": first, "until": last, "rows": rows.height}


def recorded(reports: Path) -> str:
    """Read sentence() of a run from its reports; empty if they do not say."""
    if not (reports / ROWS).is_file():
        return ""
    return sentence(json.loads((reports / ROWS).read_text(encoding="utf-8")), reports)


def sentence(used: dict[str, Any], reports: Path) -> str:
    """Say in a line which months a model was trained and judged on, and what drift was seen."""
    within = f" with the window {used['window']}" if used["window"] != str(Window()) else ""
    parts = [f"Trained on {_words(used['trained'])}{within}", f"judged on {_words(used['judged'])}"]
    if used["refitted"]:
        parts.append(f"for a release fitted again to {_words(used['refitted'])}")
    return f"{', '.join(parts)}.{_drift(reports / 'monitor/status.json')}"


def _words(used: dict[str, Any]) -> str:
    rows = counted(used["rows"], "row") + (", a sample" if "sampled" in used else "")
    if "from" not in used:
        return rows
    first, last = used["from"][:7], used["until"][:7]
    return f"{first if first == last else f'{first} to {last}'} ({rows})"


def _drift(file: Path) -> str:
    """Say what the monitor saw; empty if it judged nothing."""
    try:
        status = json.loads(file.read_text(encoding="utf-8"))
        if not status["drift"]["judged"]:
            return ""
        names = [f"`{name}`" for name in status["drift"]["features"]]
        names = [*names[:MOST_NAMED], *(["others"] if len(names) > MOST_NAMED else [])]
        names += ["the predictions"] if status["drift"]["prediction"] else []
        where = f"in what {status['release']} answered until {status['window']['until'][:10]}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return printable(f" Drift {where}: {', '.join(names) or 'none'}.")


def _fitted(numbers: pl.Series) -> Any:
    """Fit the rows of train and test with these numbers, by pipeline/train.py.

    Rows for its fit_parts() are written beside the model meanwhile, those for fit() are in memory.
    """
    file = shared("pipeline/train.py")
    spec = importlib.util.spec_from_file_location("train", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent))  # as Python does for a script
    spec.loader.exec_module(module)
    train, test = blocks.scan(current().train), blocks.scan(current().test)
    rows = pl.concat([train, test.select(train.collect_schema().names())])
    if callable(fit_parts := getattr(module, "fit_parts", None)):
        with files.draft_folder(current().refitted.parent) as folder:
            path = folder / "rows.parquet"
            blocks.take(rows, numbers, path)
            return fit_parts(Parts(blocks.scan(path)))
    fit = getattr(module, "fit", None)
    if not callable(fit):
        raise StageError(
            f"{shown(file)} has no fit(rows), which fits the settings again to all rows.",
            "Write one that returns the fitted model, or set `refit = false` under [split] in "
            "params.toml.",
        )
    return fit(blocks.pick(rows, numbers))


def _not_applied(train: pl.DataFrame, test: pl.DataFrame, used: SplitSettings) -> Iterator[str]:
    """Yield the settings of [split] that the split did not apply, as one of an earlier project."""
    every = pl.concat([train, test.select(train.columns)])
    if window.since(every, used).height < every.height:
        yield "begins"
    if window.reached(train, test, used).height < train.height:
        yield "window"
    if used.train_rows is not None and train.height > used.train_rows:
        yield "train_rows"
    if used.test_rows is None:
        return
    if contract.TIME is None:
        more = test.height > used.test_rows
    else:  # the rows of one moment stay together, so those of the first one may be more
        times = made_at(test)
        more = test.filter(times > times.min()).height >= used.test_rows
    if more:
        yield "test_rows"


def main() -> int:
    """Fit the model again if params.toml says so, and record which rows were used."""
    settings = window.settings()
    paths = made(current().train), made(current().test)
    train, test = (judged_rows.read(path, slices=False) for path in paths)
    if names := list(_not_applied(train, test, settings)):
        raise StageError(
            f"pipeline/split.py does not apply {' and '.join(names)} of [split] in params.toml.",
            "A new project's split.py shows how; docs/contract.md has the lines.",
        )
    folder = current().refitted.parent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = None
    if settings.refit:
        every = pl.concat([train, test]).with_row_index(blocks.NUMBER)
        rows = window.all_rows(every[: train.height], every[train.height :])
        estimator.save_fitted(_fitted(rows[blocks.NUMBER]), current().refitted)
        print(f"fitted again to {_words(_taught(rows, settings))}: {shown(current().refitted)}")
    used = used_rows(train, test, rows)
    judged = {"model": bundle.digest(current().model_file)}
    for path, content in ((folder / JUDGED, judged), (current().reports / ROWS, used)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0
