"""Copy runs to the server that were recorded while it was down: `uv run poe track-sync`."""

import argparse
from collections.abc import Iterator

from mlflow.tracking import MlflowClient

from rung_ops.tracking import last_run, registered, store_address, stores
from rung_ops.tracking.copies import Copying
from rung_ops.tracking.registry import CHALLENGER, WAITING


def main(arguments: list[str] | None = None) -> int:
    """Copy the waiting runs, if any; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe track-sync", description=__doc__.splitlines()[0])
    from_shell = arguments is None  # the pipeline calls it too, silently
    parser.parse_args(arguments)
    if not stores.waiting():
        if from_shell:
            print("No run is waiting for the server.")
        return 0
    return stores.run_copy(sync)


def sync(copying: Copying) -> Iterator[str]:
    """Copy each waiting run and its version; the newest version becomes the challenger."""
    source = copying.source
    versions = [
        version
        for model in source.search_registered_models()
        for version in registered.versions_of(source, model.name)
    ]
    for run in stores.runs(source, f"tags.{WAITING} = 'true'"):
        copied_run = copying.run(run)
        of_run = [each for each in versions if each.run_id == run.info.run_id]
        for local, number in registered.register(copying, of_run).items():
            name = of_run[0].name
            copying.target.set_registered_model_alias(name, CHALLENGER, number)
            # reports/run.json must name the version at the server.
            if last_run.read().get("run_id") == run.info.run_id:
                last_run.write_and_commit(copied_run, name, number)
            yield f"local version {local} of {name} is version {number} at the server, {CHALLENGER}"
        if not of_run:
            yield f"copied run {run.info.run_name}"
        _mark_copied(source, run.info.run_id)


def _mark_copied(source: MlflowClient, run: str) -> None:
    source.set_tag(run, WAITING, f"no, copied to {store_address.tracking_uri()}")
