"""A period's rows sent to the service, the log dated as the rows are, and the outcomes.

The service stamps its log with the time of the machine. The monitor and the autopilot of the copy
read a second log, in which each answer has the moment of its row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.batch import prediction_log
from rung_ops.release import paths, state
from rung_ops.replay import copy_commands, project_copy
from rung_ops.replay.periods import WHEN, Period
from rung_ops.replay.traffic import Answer, Service, ServiceFailed, wait_for

CHUNK = 500  # rows
CHUNK_ON_TRIAL = 100  # rows between two looks of the service at the release on trial
PAUSE = 0.3  # seconds: the service looks every 0.25
LOGGED_WITHIN = 30.0  # seconds


@dataclass
class Served:
    """A period after it was served.

    Attributes:
        period: that was served.
        answers: one for each of its rows.
        events: what the history of the releases says, each with `row`, by which it happened.
    """

    period: Period
    answers: list[Answer]
    events: list[dict[str, Any]] = field(default_factory=list)

    def predictions(self) -> np.ndarray:
        """Give what was answered, shape (n_rows,)."""
        return np.array([answer.prediction for answer in self.answers])

    @contextmanager
    def following(self) -> Iterator[None]:
        """Keep what the history of the releases says of the time inside."""
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
    """Send the rows of a period, and follow what becomes of a release on trial.

    Raises:
        ServiceFailed: a request was not answered.
    """
    rows = period.rows.drop(WHEN, contract.TARGET)
    ids = names(period)
    served = Served(period, [])
    sent = 0
    while sent < rows.height:
        tried = _on_trial()
        size = CHUNK_ON_TRIAL if tried else CHUNK
        with served.following():
            served.answers += service.send(rows[sent : sent + size], ids[sent : sent + size])
            sent = min(sent + size, rows.height)
            if tried:
                wait_for(lambda before=tried: _on_trial() != before, PAUSE)  # type: ignore[misc]
    return served


def names(period: Period) -> list[str]:
    """Name each request of a period."""
    return [f"{period.id}-{number}" for number in range(1, period.rows.height + 1)]


def date_log(served: Served, since: datetime) -> None:
    """Write the answers of a period to the log that the monitor and the autopilot read.

    Args:
        served: the period.
        since: when its first request was sent, by the machine's clock.

    Raises:
        ServiceFailed: the service did not log all that it had answered.
    """
    folder = project_copy.PLACE / "logs" / paths.PRODUCTION / "predictions"
    ids = names(served.period)
    when = pl.DataFrame({"id": ids, WHEN: served.period.rows[WHEN]})

    def logged() -> pl.DataFrame:
        log = prediction_log.read(folder, since=since).collect()
        return log.join(when, on="id", how="inner", maintain_order="left")

    def whole() -> bool:
        return logged().filter(pl.col("arm") != "shadow").height >= len(ids)

    if not wait_for(whole, LOGGED_WITHIN):
        raise ServiceFailed(f"{served.period.name}: not all answers came into the prediction log.")
    dated = logged().with_columns(pl.col(WHEN).alias("time")).drop(WHEN).sort("time")
    prediction_log.write_predictions(
        dated, project_copy.PLACE / copy_commands.LOGS / paths.PRODUCTION / "predictions"
    )


def tell_outcomes(period: Period) -> None:
    """Put what really happened into data/outcomes."""
    folder = project_copy.PLACE / "data/outcomes"
    folder.mkdir(parents=True, exist_ok=True)
    key = list(contract.Row.to_schema().unique or [])
    if key:
        told = period.rows.select(*key, contract.TARGET)
    else:
        told = period.rows.select(pl.Series("id", names(period)), contract.TARGET)
    told.write_parquet(folder / f"{period.id}.parquet")


def production() -> Path:
    """Find the folder of what the copy serves."""
    return project_copy.PLACE / "releases" / paths.PRODUCTION


def standing() -> state.State:
    """Read what the copy serves."""
    return state.read(production())


def lines_of_trial(events: list[dict[str, Any]]) -> Iterator[str]:
    """Tell what happened to a release on trial, in the order in which it did."""
    for event in events:
        detail = event["detail"]
        step = f" {detail['step']}" if "step" in detail else ""
        reason = f": {detail['reason']}" if detail.get("reason") else ""
        yield f"within {event['row']:,} requests: {event['event']}{step}, by {event['by']}{reason}"


def clock() -> datetime:
    """Tell the time of the machine."""
    return datetime.now(UTC)


def _on_trial() -> tuple[Any, ...] | None:
    now = standing()
    return (now.generation,) if now.canary or (now.shadow and _moves_by_itself()) else None


def _moves_by_itself() -> bool:
    return (project_copy.PLACE / "ops/rollout.toml").is_file()
