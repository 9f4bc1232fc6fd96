"""Which overrides have no prediction in the log: for the monitor, the service, the technical file."""

import json
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from rung_ops import prediction_log
from rung_ops.system import atomic
from rung_ops.system.printable import printable

NAMED = 3  # ids that a message lists
ERASED = "erased_overrides.json"  # beside an environment's log


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
    """List those of some predictions that the log of an environment lacks; None without a log.

    What left it with a person's rows is not listed.
    """
    wanted = sorted(set(ids) - _erased(folder))
    log = prediction_log.folder(folder.name)
    if not any(log.glob("date=*")):
        return None
    logged = prediction_log.read(log).select("id").filter(pl.col("id").is_in(wanted)).collect()
    known = set(logged["id"])
    return [each for each in wanted if each not in known]


def note_erased(folder: Path, ids: Iterable[str]) -> None:
    """Note which overruled predictions leave the log of an environment with a person's rows.

    Their ids stay in the audit log, so this says no more of anybody.

    Args:
        folder: the environment's.
        ids: of predictions that were overruled; those that the log lacks are not noted.

    Raises:
        OSError: it cannot be written.
    """
    overruled = set(ids)
    missing = not_logged(folder, overruled)
    if missing is None or not (logged := overruled.difference(missing)):
        return
    with atomic.writing(_note(folder), writer="erase", private=True) as draft:
        draft.write_text(json.dumps(sorted(logged | _erased(folder))), encoding="utf-8")


def _erased(folder: Path) -> set[str]:
    try:
        return set(json.loads(_note(folder).read_bytes()))
    except (OSError, ValueError, TypeError):
        return set()  # the monitor then names them


def _note(folder: Path) -> Path:
    return prediction_log.folder(folder.name).with_name(ERASED)
