"""How old the newest things are: prediction, row, model."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from rung_ops.monitoring.limits import Freshness

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Age:
    """The newest of something.

    Attributes:
        what: of what, as a phrase that a sentence can begin with.
        newest: its moment in UTC; None if there is none.
        limit: how old it may be.
        now: the moment of the check.
    """

    what: str
    newest: datetime | None
    limit: timedelta
    now: datetime

    @property
    def age(self) -> timedelta | None:
        """How old it is; negative for a moment to come."""
        return None if self.newest is None else self.now - self.newest

    @property
    def stale(self) -> bool:
        """Whether it is older than it may be, or not there."""
        return self.age is None or self.age > self.limit

    def __str__(self) -> str:
        if self.newest is None or self.age is None:
            return f"{self.what}: there is none"
        return (
            f"{self.what} is of {self.newest:%Y-%m-%d %H:%M} UTC, {_words(self.age)} ago; "
            f"{_words(self.limit)} may pass"
        )


def check_freshness(
    now: datetime,
    limits: Freshness,
    manifest: Mapping[str, Any],
    newest_prediction: datetime | None,
    newest_row: datetime | None,
    has_time: bool,
) -> dict[str, Age]:
    """Find the age of the newest prediction, row and training row.

    Args:
        now: the moment of the check, with a time zone.
        limits: [freshness] of ops/monitor.toml.
        manifest: of the release; model_age counts from the newest row that it learned from.
        newest_prediction: when the log's last row was answered.
        newest_row: the latest TIME of the rows that were asked about.
        has_time: whether rows have a TIME.

    Returns:
        By name: prediction, row (where rows have a time) and model.
    """
    ages = {
        "prediction": Age(
            "the newest prediction", newest_prediction, limits.prediction_hours * HOUR, now
        )
    }
    if has_time:
        ages["row"] = Age("the newest row", newest_row, limits.row_days * DAY, now)
    if manifest.get("trained_until"):
        what, since = "the newest row the model learned from", manifest["trained_until"]
    else:
        what, since = "the model", manifest["created"]
    ages["model"] = Age(what, moment(since), limits.model_days * DAY, now)
    return ages


def moment(value: str | date | datetime | None) -> datetime | None:
    """Read a moment, as UTC where it names no zone; a day counts from its beginning."""
    if value is None:
        return None
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _words(span: timedelta) -> str:
    if abs(span) < 2 * DAY:
        return f"{span / HOUR:.3g} hours"
    return f"{span / DAY:,.0f} days"
