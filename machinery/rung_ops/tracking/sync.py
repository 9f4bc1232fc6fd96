"""Bring runs that were recorded here while the server was down to it: `uv run poe track-sync`."""

import argparse
from collections.abc import Iterator

from mlflow.tracking import MlflowClient

from rung_ops.tracking import last_run, registered, store_address, stores
from rung_ops.tracking.copies import Copying
from rung_ops.tracking.registry import CHALLENGER, WAITING


def main(arguments: list[str] | None = None) -> int:
    """Copy what waits, if anything does; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe track-sync", description=__doc__.splitlines()[0])
    typed = arguments is None  # the pipeline calls it too, and has nothing to hear of nothing
    parser.parse_args(arguments)
    if not stores.waiting():
        if typed:
            print("No run waits here for the server.")
        return 0
    return stores.carry(bring)


def bring(copying: Copying) -> Iterator[str]:
    """Copy each waiting run and its version, the newest of which becomes the challenger."""
    source = copying.source
    versions = [
        version
        for model in source.search_registered_models()
        for version in registered.versions_here(source, model.name)
    ]
    for run in stores.runs(source, f"tags.{WAITING} = 'true'"):
        there = copying.run(run)
        made = [each for each in versions if each.run_id == run.info.run_id]
        for here, number in registered.register(copying, made).items():
            name = made[0].name
            copying.target.set_registered_model_alias(name, CHALLENGER, number)
            # What the pipeline made is the version that everybody sees.
            if last_run.read().get("run_id") == run.info.run_id:
                last_run.account_for(there, name, number)
            yield f"{name} version {here} of here is version {number} there, {CHALLENGER}"
        if not made:
            yield f"run {run.info.run_name} is there"
        _no_longer_waiting(source, run.info.run_id)


def _no_longer_waiting(source: MlflowClient, run: str) -> None:
    source.set_tag(run, WAITING, f"no, it is at {store_address.tracking_uri()}")
