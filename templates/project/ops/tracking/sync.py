"""Bring runs that were recorded here while the server was down to it: `uv run poe track-sync`.

Rung keeps this file; change it through tracking.toml.
"""

import argparse
import json
import subprocess
import sys

from mlflow.tracking import MlflowClient

from ops import registry
from ops.registry import CHALLENGER, WAITING
from ops.settings import ROOT
from ops.track import RUN
from ops.tracking import registered, stores
from ops.tracking.copies import Copying


def main(arguments: list[str] | None = None) -> int:
    """Copy what waits, if anything does; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe track-sync", description=__doc__.splitlines()[0])
    typed = arguments is None  # the pipeline calls it too, and has nothing to hear of nothing
    parser.parse_args(arguments)
    if not stores.waiting():
        if typed:
            print("No run waits here for the server.")
        return 0
    try:
        with stores.copying() as copying:
            for line in bring(copying):
                print(line, flush=True)
    except stores.CannotCopy as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def bring(copying: Copying) -> list[str]:
    """Copy each waiting run and its version, the newest of which becomes the challenger.

    Returns:
        What was done, as sentences.
    """
    source, said = copying.source, []
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
            _say_where(run.info.run_id, there, name, number)
            said.append(f"{name} version {here} of here is version {number} there, {CHALLENGER}")
        if not made:
            said.append(f"run {run.info.run_name} is there")
        _no_longer_waiting(source, run.info.run_id)
    return said


def _say_where(here: str, there: str, name: str, number: str) -> None:
    """Let reports/run.json name the version that everybody sees, if it names this run."""
    if not RUN.is_file() or json.loads(RUN.read_bytes()).get("run_id") != here:
        return
    made = {"run_id": there, "model": name, "version": number}
    RUN.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    # Without this DVC would find its output changed, and record the run a second time.
    command = ["dvc", "commit", "--quiet", "--force", "track"]
    subprocess.run(command, cwd=ROOT, check=True)


def _no_longer_waiting(source: MlflowClient, run: str) -> None:
    source.set_tag(run, WAITING, f"no, it is at {registry.tracking_uri()}")


if __name__ == "__main__":
    sys.exit(main())
