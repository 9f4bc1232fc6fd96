"""Copy all local runs and versions to the server: `uv run poe track-migrate`.

An interrupted migration can be run again: nothing is copied twice. The local store is kept.
"""

import argparse
from collections.abc import Iterator

from mlflow.entities import RunStatus

from rung_ops.tracking import registered, store_address, stores
from rung_ops.tracking.copies import Copying


def main(arguments: list[str] | None = None) -> int:
    """Copy all runs and versions, and print progress; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe track-migrate", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    if not store_address.local_store().is_file():
        print(
            f"There is no {store_address.local_store().name}: no run was recorded in this folder."
        )
        return 0
    return stores.run_copy(migrate)


def migrate(copying: Copying) -> Iterator[str]:
    """Copy runs, then versions, aliases and tags; yield lines of progress."""
    all_runs = stores.runs(copying.source)
    runs = [
        run for run in all_runs if RunStatus.is_terminated(RunStatus.from_string(run.info.status))
    ]
    yield f"copying {len(runs)} runs to {store_address.tracking_uri()}"
    for number, run in enumerate(runs, 1):
        before = copying.copied
        copying.run(run)
        result = "copied" if copying.copied > before else "copied before"
        yield f"run {number} of {len(runs)}: {run.info.run_name}, {result}"
    if len(all_runs) > len(runs):
        yield (
            f"{len(all_runs) - len(runs)} unfinished runs were skipped: they are running or were "
            "killed."
        )
    for model in copying.source.search_registered_models():
        versions = registered.versions_of(copying.source, model.name)
        copied = [each for each in versions if str(each.run_id) in copying.runs]
        numbers = registered.register(copying, copied)
        yield from registered.aliases(copying, model.name, numbers)
        for local, remote in numbers.items():
            if local != remote:
                yield (
                    f"local version {local} of {model.name} is version {remote} at the server, "
                    "which had other versions before"
                )
        yield f"{model.name}: {len(numbers)} versions are at the server"
    local_store = f"{store_address.local_store().name} and mlruns/"
    yield f"Done. {local_store} were not changed; delete them when they are no longer needed."
