"""Copy all runs and versions that were recorded here to the server: `uv run poe track-migrate`.

It may be interrupted and typed again: what is there is not copied twice. Nothing is deleted here.
"""

import argparse
from collections.abc import Iterator

from mlflow.entities import RunStatus

from rung_ops.tracking import registered, store_address, stores
from rung_ops.tracking.copies import Copying


def main(arguments: list[str] | None = None) -> int:
    """Copy everything, and say what became of it; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe track-migrate", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    if not store_address.STORE.is_file():
        print(f"There is no {store_address.STORE.name} here: no run was recorded in this folder.")
        return 0
    return stores.carry(migrate)


def migrate(copying: Copying) -> Iterator[str]:
    """Copy runs, then versions, aliases and tags; say what is done while it is done."""
    all_runs = stores.runs(copying.source)
    runs = [
        run for run in all_runs if RunStatus.is_terminated(RunStatus.from_string(run.info.status))
    ]
    yield f"{len(runs)} runs to {store_address.tracking_uri()}"
    for number, run in enumerate(runs, 1):
        before = copying.copied
        copying.run(run)
        what = "copied" if copying.copied > before else "there already"
        yield f"run {number} of {len(runs)}: {run.info.run_name}, {what}"
    if len(all_runs) > len(runs):
        yield (
            f"{len(all_runs) - len(runs)} runs are not at their end and were left: they go on, or "
            "were killed."
        )
    for model in copying.source.search_registered_models():
        here = registered.versions_here(copying.source, model.name)
        able = [each for each in here if str(each.run_id) in copying.runs]
        numbers = registered.register(copying, able)
        yield from registered.aliases(copying, model.name, numbers)
        for one, other in numbers.items():
            if one != other:
                yield f"{model.name} version {one} is {other} there: other versions came first"
        yield f"{model.name}: {len(numbers)} versions are there"
    kept = f"{store_address.STORE.name} and mlruns/"
    yield f"Done. {kept} are as they were; delete them when nobody needs them."
