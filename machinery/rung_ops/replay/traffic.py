"""Start the service of the copy, and send it the rows of each period as requests.

The service logs the time of the machine. The monitor and the autopilot of the copy read a second
log, in which each prediction has the time of its row.
"""

import http.client
import json
import secrets
import subprocess
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from rung_ops import contract, prediction_log
from rung_ops.errors import OpsError
from rung_ops.project import paths
from rung_ops.release import rollout, state
from rung_ops.replay import project_copy
from rung_ops.replay.periods import WHEN, Period
from rung_ops.serving import access, shadow
from rung_ops.system import processes

HOST = "127.0.0.1"
CALLERS = 4
TRIES = 20
STARTS_WITHIN = 60.0  # seconds


@dataclass(frozen=True)
class Answer:
    """The answer to a request; of several classes the prediction has the probabilities of all."""

    id: str
    prediction: float | list[float]
    release: str


class Service:
    """The service of the copy, running in a process until close()."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: dict[str, str], port: int
    ) -> None:
        self.port = port
        token = secrets.token_urlsafe()
        self._headers = {"authorization": f"Bearer {token}"}
        self._log = (folder / "service.log").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            cwd=folder,
            env=environment | {access.PREDICT: f"replay:{token}"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def wait(self) -> None:
        """Wait until it is ready."""
        end = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < end and self._process.poll() is None:
            try:
                connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
                connection.request("GET", "/health/ready")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise OpsError(f"The service did not become ready:\n{self._log_end()}")

    def send(self, rows: pl.DataFrame, ids: Sequence[str]) -> list[Answer]:
        """Send each row as a request, from CALLERS threads; return the answers in their order."""
        bodies = [msgspec.json.encode(row) for row in rows.iter_rows(named=True)]
        answers: list[Answer | None] = [None] * len(bodies)

        def call(first: int) -> None:
            with closing(http.client.HTTPConnection(HOST, self.port, timeout=30)) as connection:
                for number in range(first, len(bodies), CALLERS):
                    answers[number] = _ask(connection, bodies[number], ids[number], self._headers)

        try:
            with ThreadPoolExecutor(CALLERS) as callers:
                list(callers.map(call, range(CALLERS)))
        except (OSError, http.client.HTTPException, OpsError) as error:
            reason = str(error) or repr(error)
            raise OpsError(f"A request was not answered: {reason}\n{self._log_end()}") from error
        return [answer for answer in answers if answer is not None]

    def has_judged(self, now: datetime) -> bool:
        """Return whether the service has judged the release on trial since the clock shows this time."""
        try:
            with closing(http.client.HTTPConnection(HOST, self.port, timeout=5)) as connection:
                connection.request("GET", "/model", headers=self._headers)
                verdict = json.loads(connection.getresponse().read())["rollout"]
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return False
        return verdict is not None and datetime.fromisoformat(verdict["at"]) >= now

    def close(self) -> None:
        """Stop the service after it has answered open requests."""
        processes.stop(self._process, 30)
        self._log.close()

    def _log_end(self) -> str:
        self._log.flush()
        self._log.seek(0)
        return "".join(f"  {line}" for line in self._log.readlines()[-20:])


def wait_for(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; return whether it did within the time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _ask(
    connection: http.client.HTTPConnection, body: bytes, name: str, headers: dict[str, str]
) -> Answer:
    headers = headers | {"content-type": "application/json", "x-request-id": name}
    status, content = 0, b""
    for _ in range(TRIES):
        connection.request("POST", "/predict", body, headers)
        response = connection.getresponse()
        status, content = response.status, response.read()
        if status != 503:
            break
        time.sleep(0.05)  # 503 asks the caller to retry
    if status != 200:
        raise OpsError(f"status {status}: {content[:500].decode(errors='replace')}")
    answer: dict[str, Any] = json.loads(content)
    predicted: Any = answer["prediction"]
    if by_class := answer.get("probabilities"):
        predicted = list(by_class.values())
    elif interval := answer.get("interval"):
        predicted = [interval["low"], predicted, interval["high"]]
    return Answer(name, predicted, str(answer["release"]))


CHUNK = 500  # rows
TRIAL_CHUNK = 100  # rows sent at once while a canary or shadow may change
# Parts of a stage of a trial: the rows of a part are sent before the service judges again, so that a
# stage ends at most a part of it late.
STAGE_PARTS = 8
GATHERED = 2 * shadow.GATHER  # seconds until a shadow has scored what was sent
JUDGED_WITHIN = 5.0  # seconds
LOGGED_WITHIN = 30.0  # seconds
NUMBER = "number of the row"  # no name of a column in the log


@dataclass
class Served:
    """The result of serving a period."""

    period: Period
    answers: list[Answer]  # one for each of its rows
    # Events of the release history, each with `row`, the number of rows sent by then.
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
        counts = Counter(answer.release for answer in self.answers)
        return [{"release": release, "rows": rows} for release, rows in counts.items()]


def serve(service: Service, period: Period) -> Served:
    """Send the rows of a period, and follow a canary or shadow meanwhile."""
    rows, when = period.rows.drop(WHEN, contract.TARGET), period.rows[WHEN].to_list()
    ids = request_ids(period)
    served = Served(period, [])
    part = _stage_part()
    sent = 0
    while sent < rows.height:
        stop = min(sent + CHUNK, rows.height)
        if part and _trial_state():
            stop = min(stop, sent + TRIAL_CHUNK, bisect_left(when, when[sent] + part))
        with served.following():
            served.answers += service.send(rows[sent:stop], ids[sent:stop])
            _let_judge(service, when[stop - 1], part)
        sent = stop
    with served.following():
        _let_judge(service, period.end, part)
    return served


def _let_judge(service: Service, now: datetime, part: timedelta | None) -> None:
    """Set the clock, and wait until the service has judged by it what is on trial."""
    trial = _trial_state() if part else None
    if trial:
        time.sleep(GATHERED)
    project_copy.set_clock(now)
    if trial:
        wait_for(lambda: _trial_state() != trial or service.has_judged(now), JUDGED_WITHIN)


def _stage_part() -> timedelta | None:
    """Return how long rows are sent in a trial before it is judged; None if nothing is promoted by itself."""
    folder = project_copy.copy_folder() / "ops"
    policy = rollout.read_policy(folder / "rollout.toml", folder / "service.toml")
    if policy is None:
        return None
    shortest = min(policy.shadow.enough_seconds, policy.canary.enough_seconds)
    return timedelta(seconds=shortest / STAGE_PARTS)


def request_ids(period: Period) -> list[str]:
    """Return the id of each request of a period."""
    return [f"{period.id}-{number}" for number in range(1, period.rows.height + 1)]


def date_log(served: Served, since: datetime) -> None:
    """Write the predictions of a period, logged since a moment, to a log with the times of the rows."""
    folder = project_copy.copy_folder() / "logs" / paths.PRODUCTION / "predictions"
    ids = request_ids(served.period)
    when = pl.DataFrame({"id": ids, WHEN: served.period.rows[WHEN]}).with_row_index(NUMBER)

    def logged() -> pl.DataFrame:
        log = prediction_log.read(folder, since=since).collect()
        return log.join(when, on="id", how="inner", maintain_order="left")

    answered = pl.col("arm") != "shadow"
    if not wait_for(lambda: logged().filter(answered).height >= len(ids), LOGGED_WITHIN):
        raise OpsError(f"{served.period.name}: the prediction log is incomplete.")
    # Answers of the callers are logged in any order.
    dated = logged().sort(WHEN, NUMBER, "arm").with_columns(pl.col(WHEN).alias("time"))
    dated = dated.drop(WHEN, NUMBER)
    logs = project_copy.copy_folder() / project_copy.LOGS
    prediction_log.write_predictions(dated, logs / paths.PRODUCTION / "predictions")


def write_outcomes(period: Period) -> None:
    """Write the outcomes of a period to data/outcomes."""
    folder = project_copy.copy_folder() / "data/outcomes"
    folder.mkdir(parents=True, exist_ok=True)
    key = list(contract.Row.to_schema().unique or [])
    if key:
        outcomes = period.rows.select(*key, contract.TARGET)
    else:
        outcomes = period.rows.select(pl.Series("id", request_ids(period)), contract.TARGET)
    outcomes.write_parquet(folder / f"{period.id}.parquet")


def production() -> Path:
    """Return the folder of the copy's production environment."""
    return project_copy.copy_folder() / "releases" / paths.PRODUCTION


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


def _trial_state() -> int | None:
    now = serving_state()
    return now.generation if now.on_trial else None
