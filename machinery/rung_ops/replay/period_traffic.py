"""Send the rows of a period to the service, and write its dated log and its outcomes.

The service logs the time of the machine. The monitor and the autopilot of the copy read a second
log, in which each prediction has the time of its row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract, prediction_log
from rung_ops.project import release_folders
from rung_ops.release import state
from rung_ops.replay import copy_commands, project_copy
from rung_ops.replay.periods import WHEN, Period
from rung_ops.replay.traffic import Answer, Service, ServiceFailed, wait_for

CHUNK = 500  # rows
TRIAL_CHUNK = 100  # rows sent at once while a canary or shadow may change
PAUSE = 0.3  # seconds; the service reads its state every 0.25
LOGGED_WITHIN = 30.0  # seconds


@dataclass
class Served:
    """The result of serving a period.

    Attributes:
        period: the period.
        answers: one for each of its rows.
        events: events of the release history, each with `row`, the number of rows sent by then.
    """

    period: Period
    answers: list[Answer]
    events: list[dict[str, Any]] = field(default_factory=list)

    def predictions(self) -> np.ndarray:
        """Return the predictions, shape (n_rows,) or (n_rows, n_classes)."""
        return np.array([answer.prediction for answer in self.answers])

    @contextmanager
    def following(self) -> Iterator[None]:
        """Add the events that the release history gains during the block."""
        known = len(state.events(production()))
        yield
        new = state.events(production())[known:]
        self.events += [event | {"row": len(self.answers)} for event in new]

    def by_release(self) -> list[dict[str, Any]]:
        """Count the rows that each release answered, in the order of their first answers."""
        counts: dict[str, int] = {}
        for answer in self.answers:
            counts[answer.release] = counts.get(answer.release, 0) + 1
        return [{"release": release, "rows": rows} for release, rows in counts.items()]


def serve(service: Service, period: Period) -> Served:
    """Send the rows of a period, and follow a canary or shadow meanwhile.

    Raises:
        ServiceFailed: a request was not answered.
    """
    rows = period.rows.drop(WHEN, contract.TARGET)
    ids = names(period)
    served = Served(period, [])
    sent = 0
    while sent < rows.height:
        trial = _trial_state()
        size = TRIAL_CHUNK if trial else CHUNK
        with served.following():
            served.answers += service.send(rows[sent : sent + size], ids[sent : sent + size])
            sent = min(sent + size, rows.height)
            if trial:
                wait_for(lambda before=trial: _trial_state() != before, PAUSE)  # type: ignore[misc]
    return served


def names(period: Period) -> list[str]:
    """Return the id of each request of a period."""
    return [f"{period.id}-{number}" for number in range(1, period.rows.height + 1)]


def date_log(served: Served, since: datetime) -> None:
    """Write the predictions of a period to the log that the monitor and the autopilot read.

    Args:
        served: the period.
        since: when its first request was sent, by the machine's clock.

    Raises:
        ServiceFailed: the service did not log all predictions.
    """
    folder = project_copy.copy_folder() / "logs" / release_folders.PRODUCTION / "predictions"
    ids = names(served.period)
    when = pl.DataFrame({"id": ids, WHEN: served.period.rows[WHEN]})

    def logged() -> pl.DataFrame:
        log = prediction_log.read(folder, since=since).collect()
        return log.join(when, on="id", how="inner", maintain_order="left")

    def is_complete() -> bool:
        return logged().filter(pl.col("arm") != "shadow").height >= len(ids)

    if not wait_for(is_complete, LOGGED_WITHIN):
        raise ServiceFailed(f"{served.period.name}: the prediction log is incomplete.")
    dated = logged().with_columns(pl.col(WHEN).alias("time")).drop(WHEN).sort("time")
    prediction_log.write_predictions(
        dated,
        project_copy.copy_folder()
        / copy_commands.LOGS
        / release_folders.PRODUCTION
        / "predictions",
    )


def write_outcomes(period: Period) -> None:
    """Write the outcomes of a period to data/outcomes."""
    folder = project_copy.copy_folder() / "data/outcomes"
    folder.mkdir(parents=True, exist_ok=True)
    key = list(contract.Row.to_schema().unique or [])
    if key:
        outcomes = period.rows.select(*key, contract.TARGET)
    else:
        outcomes = period.rows.select(pl.Series("id", names(period)), contract.TARGET)
    outcomes.write_parquet(folder / f"{period.id}.parquet")


def production() -> Path:
    """Return the folder of the copy's production environment."""
    return project_copy.copy_folder() / "releases" / release_folders.PRODUCTION


def serving_state() -> state.State:
    """Read the state of the copy's production environment."""
    return state.read(production())


def lines_of_trial(events: list[dict[str, Any]]) -> Iterator[str]:
    """Format the events of a canary or shadow, in their order."""
    for event in events:
        detail = event["detail"]
        step = f" {detail['step']}" if "step" in detail else ""
        reason = f": {detail['reason']}" if detail.get("reason") else ""
        yield f"within {event['row']:,} requests: {event['event']}{step}, by {event['by']}{reason}"


def clock() -> datetime:
    """Return the current time of the machine, in UTC."""
    return datetime.now(UTC)


def _trial_state() -> tuple[Any, ...] | None:
    now = serving_state()
    return (now.generation,) if now.canary or (now.shadow and _has_rollout()) else None


def _has_rollout() -> bool:
    return (project_copy.copy_folder() / "ops/rollout.toml").is_file()
