"""The two stores that runs are copied between: the local one and the server."""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

from rung_ops.errors import StageError
from rung_ops.system import locks
from rung_ops.tracking import registry, relocate, server_check, store_address
from rung_ops.tracking.copies import Copying
from rung_ops.tracking.registry import WAITING


class CopyError(StageError):
    """Runs cannot be copied; the message says why and what to do."""


@contextmanager
def copying() -> Iterator[Copying]:
    """Open both stores, under a lock of this machine.

    Raises:
        CopyError: runs are not recorded at a server, or another process is copying.
        ServerDownError: the server does not respond, or fails during the block.
    """
    uri = store_address.tracking_uri()
    if not server_check.is_server(uri):
        raise CopyError(
            f"Runs are recorded in {uri}, which is not a server. Set the server in "
            "ops/tracking.toml, or in MLFLOW_TRACKING_URI."
        )
    target = registry.client()
    relocate.fix_paths(store_address.local_store())
    lock = Path(f"{store_address.local_store()}.copying")
    descriptor = locks.try_lock(lock)
    if descriptor is None:
        raise CopyError("Another process is copying these runs: wait until it ends.")
    try:
        with server_check.server_errors(
            lambda: uri, "Run the command again when it is back: it continues from there."
        ):
            yield Copying(
                MlflowClient(store_address.local_uri(), store_address.local_uri()), target
            )
    finally:
        os.close(descriptor)


def run_copy(copy: Callable[[Copying], Iterable[str]]) -> int:
    """Open both stores and copy; return the exit code.

    Args:
        copy: copies, and yields lines of progress.
    """
    try:
        with copying() as opened:
            for line in copy(opened):
                print(line, flush=True)
    except CopyError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def waiting() -> int:
    """Count the runs that wait for the server, without importing MLflow."""
    if not store_address.local_store().is_file():
        return 0
    with closing(sqlite3.connect(store_address.local_store(), timeout=60)) as opened:
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
        if "tags" not in tables:
            return 0
        query = "SELECT count(*) FROM tags WHERE key = ? AND value = 'true'"
        return int(opened.execute(query, (WAITING,)).fetchone()[0])


def runs(store: MlflowClient, query: str = "") -> list[Run]:
    """List the runs of all experiments that match an MLflow filter, oldest first."""
    experiments = [each.experiment_id for each in store.search_experiments(ViewType.ALL)]
    unsorted: list[Run] = []
    token: str | None = None
    while experiments:
        page = store.search_runs(experiments, query, max_results=1000, page_token=token)
        unsorted += page
        token = page.token
        if not token:
            break
    return sorted(unsorted, key=lambda run: (run.info.start_time, run.info.run_id))
