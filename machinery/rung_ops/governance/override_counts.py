"""How many predictions were overruled: one count for the monitor and the technical file."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from rung_ops.batch import prediction_log
from rung_ops.system.printable import printable

NAMED = 3  # ids that a message lists


def unlogged(folder: Path, ids: Iterable[str]) -> str:
    """Name the overrides whose prediction the log of an environment does not have.

    Args:
        folder: the environment's.
        ids: of the predictions that were overruled.

    Returns:
        A sentence; empty where all are logged, or where no log is here.
    """
    missing = not_logged(folder, ids)
    if not missing:
        return ""
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    start = "1 override names" if len(missing) == 1 else f"{len(missing):,} overrides name"
    return printable(f"{start} no prediction of the log: {', '.join(missing[:NAMED])}{more}")


def not_logged(folder: Path, ids: Iterable[str]) -> list[str] | None:
    """List those of some predictions that the log of an environment lacks; None without a log."""
    wanted = sorted(set(ids))
    log = prediction_log.folder(folder.name)
    if not any(log.glob("date=*")):
        return None
    logged = prediction_log.read(log).select("id").filter(pl.col("id").is_in(wanted)).collect()
    known = set(logged["id"])
    return [each for each in wanted if each not in known]
