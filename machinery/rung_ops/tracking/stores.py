"""The two stores that runs are copied between: the one in the project's folder, and the server."""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

from rung_ops.project.errors import StageError
from rung_ops.system import locks
from rung_ops.tracking import registry, relocate, server_check, store_address
from rung_ops.tracking.copies import Copying
from rung_ops.tracking.registry import WAITING


class CopyError(StageError):
    """There is nothing to copy, or nowhere to; the message says what to do."""


@contextmanager
def copying() -> Iterator[Copying]:
    """Open both stores; nobody else on this machine copies at the same time.

    Raises:
        CopyError: the store that runs are recorded in is no server, or somebody copies.
        ServerDownError: it does not answer, or fails in the middle.
    """
    uri = store_address.tracking_uri()
    if not server_check.is_server(uri):
        raise CopyError(
            f"Runs are recorded in {uri}, which is no server. Name the server in ops/tracking.toml, or "
            "in MLFLOW_TRACKING_URI."
        )
    target = registry.client()
    relocate.bring_home(store_address.STORE)
    lock = Path(f"{store_address.STORE}.copying")
    descriptor = locks.try_lock(lock)
    if descriptor is None:
        raise CopyError("Somebody copies these runs already: let it end.")
    try:
        with server_check.kept_up(
            lambda: uri, "Type it again when it is back: it goes on from there."
        ):
            yield Copying(
                MlflowClient(store_address.local_uri(), store_address.local_uri()), target
            )
    finally:
        os.close(descriptor)


def carry(copies: Callable[[Copying], Iterable[str]]) -> int:
    """Open both stores and copy; return the exit code.

    Args:
        copies: does it, and says what is done while it is done.
    """
    try:
        with copying() as opened:
            for line in copies(opened):
                print(line, flush=True)
    except CopyError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def waiting() -> int:
    """Count the runs that wait for the server, without the time that MLflow takes to open."""
    if not store_address.STORE.is_file():
        return 0
    with closing(sqlite3.connect(store_address.STORE, timeout=60)) as opened:
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
        if "tags" not in tables:
            return 0
        asked = "SELECT count(*) FROM tags WHERE key = ? AND value = 'true'"
        return int(opened.execute(asked, (WAITING,)).fetchone()[0])


def runs(store: MlflowClient, asked: str = "") -> list[Run]:
    """List the runs of all experiments, the oldest first."""
    experiments = [each.experiment_id for each in store.search_experiments(ViewType.ALL)]
    found: list[Run] = []
    token: str | None = None
    while experiments:
        page = store.search_runs(experiments, asked, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            break
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))
