"""Overrides: decisions of people that replace a prediction, kept in the audit log.

They are counted for the monitor and the technical file, and compared with the prediction log: an
override without a prediction is reported.
"""

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from rung_governance.approval import audit
from rung_ops import prediction_log
from rung_ops.release import history, state
from rung_ops.system import files
from rung_ops.system.printable import printable

OVERRIDE = "override"
# The id of the prediction, as the service answered it, and what is done now, by whom and why.
FIELDS = ("id", "decision", "by", "reason")


def record(folder: Path, made: Mapping[str, Any]) -> list[str]:
    """Write an override, an object with FIELDS, into the audit log; as audit.record()."""
    return audit.record(folder, OVERRIDE, **made)


class Overrides:
    """Finds the overrides of a prediction; reads of the audit log only what is new."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / state.HISTORY
        self._read = 0
        self._found: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def entries(self, prediction: str) -> list[dict[str, Any]]:
        """List at, by, decision and reason of a prediction's overrides, the one that counts last."""
        with self._lock:
            self._catch_up()
            return list(self._found.get(prediction, ()))

    def count(self, since: str = "") -> dict[str, str]:
        """Name the predictions that were overruled since a moment (ISO, UTC), with when."""
        with self._lock:
            self._catch_up()
            last = {prediction: entries[-1]["at"] for prediction, entries in self._found.items()}
        return {prediction: at for prediction, at in last.items() if at >= since}

    def _catch_up(self) -> None:
        try:
            if self._path.stat().st_size < self._read:  # a torn end was cut off, or it is another
                self._read, self._found = 0, {}
        except FileNotFoundError:
            return
        new = history.content(self._path, self._read)
        end = new.rfind(b"\n") + 1
        self._read += end
        for line in new[:end].splitlines(keepends=True):
            # Of a line that is no event, `poe audit-log` says what is wrong.
            event = history.event_of(line) if b'"event":"override"' in line else None
            if event is None or event["event"] != OVERRIDE:
                continue
            detail = event["detail"]
            if {"id", "decision", "reason"} <= detail.keys():
                said = {name: detail[name] for name in ("decision", "reason")}
                entry = {"at": event["at"], "by": event["by"], **said}
                self._found.setdefault(str(detail["id"]), []).append(entry)


NAMED = 3  # ids that a message lists
ERASED = "erased_overrides.json"  # beside an environment's log


def unlogged(folder: Path, ids: Iterable[str]) -> str:
    """Say which overrides have no prediction in the log of an environment; empty without a log."""
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
    """
    overruled = set(ids)
    missing = not_logged(folder, overruled)
    if missing is None or not (logged := overruled.difference(missing)):
        return
    with files.writing(_note(folder), writer="erase", private=True) as draft:
        draft.write_text(json.dumps(sorted(logged | _erased(folder))), encoding="utf-8")


def _erased(folder: Path) -> set[str]:
    try:
        return set(json.loads(_note(folder).read_bytes()))
    except (OSError, ValueError, TypeError):
        return set()  # the monitor then names them


def _note(folder: Path) -> Path:
    return prediction_log.folder(folder.name).with_name(ERASED)
