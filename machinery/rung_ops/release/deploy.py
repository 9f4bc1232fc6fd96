"""Bring a release to staging or production: `uv run poe deploy ENVIRONMENT [RELEASE]`.

In staging, and where nothing answers yet, it answers at once. In production it begins in the
shadow or as a canary, as ops/rollout.toml says; without that file it stays in the shadow.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from rung_ops.project.paths import shown
from rung_ops.release import bundle, champion_alias, gate_check, install, paths, state, status
from rung_ops.release.bundle import BadBundle
from rung_ops.release.state import State
from rung_ops.serving.policy import policy
from rung_ops.serving.settings import BadSettings
from rung_ops.system import locks

SHADOW_ONLY = 1.0  # share of the requests where no ops/rollout.toml names another
NOT_PASSED = (
    "it has not passed the gate. `--without-gate REASON` brings it there all the same, and is "
    "recorded."
)
TAKEN_BACK = ("roll_back", "abort")


def begin(
    folder: Path, release: str, by: str, at_once: bool = False, expected: int | None = None
) -> State:
    """Let an installed release begin: answering, as a canary or in the shadow.

    Args:
        folder: the environment's.
        release: its id.
        by: who wants it.
        at_once: let it answer everything, whatever ops/rollout.toml says.
        expected: generation of the state that this was decided on.

    Raises:
        state.Refused: the state does not allow it.
        service.settings.BadSettings: ops/rollout.toml or ops/service.toml cannot be used.
    """
    if at_once or folder.name == paths.STAGING or state.read(folder).serving is None:
        return state.serve(folder, release, by, expected)
    rules = policy()
    share = rules.shadow.share if rules else SHADOW_ONLY
    if share > 0:
        return state.shadow(folder, release, share, by, expected)
    return state.canary(folder, release, by, expected)


def taken_back(folder: Path, release: str) -> dict[str, Any] | None:
    """Find the event that took a release out of an environment, if that was its last one there."""
    last = None
    for event in state.events(folder):
        if state.concerns(event, release):
            last = event
    return last if last and last["event"] in TAKEN_BACK else None


def main(arguments: list[str] | None = None) -> int:
    """Deploy; return the exit code."""
    options = _options(arguments)
    environment = options.environment
    folder = paths.environment(environment)
    try:
        release = options.release or install.newest()
        if release is None:
            raise BadBundle(f"{shown(paths.candidates())} holds no release: `uv run poe release`")
        now = state.read(folder)
        place = status.place_of(now, release)
        if place and (now.serving == release or not options.at_once):
            install.install(folder, release)  # mends a bundle that broke on the disk
            print(f"{release} {place} in {environment} already.")
            if not options.release:
                print("It is the newest release: `uv run poe release` makes one of a new version.")
        else:
            now = _deploy(folder, release, now, options)
            print(f"{release} {status.place_of(now, release)} in {environment}.")
    except (
        BadBundle,
        BadSettings,
        state.Refused,
        state.BadState,
        locks.LockTimeoutError,
        OSError,
    ) as error:
        print(f"Nothing was changed in {environment}: {error}", file=sys.stderr)
        return 1
    if environment == paths.PRODUCTION:
        print(_followed(folder, str(now.serving)))
    return 0


def _followed(folder: Path, serving: str) -> str:
    try:
        version = bundle.read_manifest(paths.bundle(folder, serving))["version"]
    except BadBundle as error:
        return f"The registry's alias `champion` was left as it is: {error}"
    return champion_alias.follow(version)


def _deploy(folder: Path, release: str, before: State, options: argparse.Namespace) -> State:
    back = taken_back(folder, release)
    if back and not options.release:
        raise state.Refused(
            f"{release} was taken back at {back['at']} by {back['by']} "
            f"({back['detail'].get('reason') or 'without a reason'}). Name it to try it again."
        )
    try:
        manifest = bundle.read_manifest(install.install(folder, release))
    except BadBundle:
        state.expect(folder, before.generation)  # who deployed first may have cleared it away
        raise
    by = paths.person()
    if folder.name == paths.PRODUCTION:
        reasons = list(gate_check.objections(manifest, before))
        if reasons and not options.without_gate:
            raise state.Refused("\n- ".join([NOT_PASSED, *reasons]))
        if reasons:
            state.note(folder, "without_gate", by, release=release, reason=options.without_gate)
    now = begin(folder, release, by, options.at_once, before.generation)
    try:
        install.forget(folder, now.releases())
    except OSError as error:  # the release is in its place, so this must not look like a failure
        print(f"Old bundles stay where they are: {error}", file=sys.stderr)
    return now


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="poe deploy", description=__doc__.splitlines()[0])
    parser.add_argument("environment", choices=paths.ENVIRONMENTS)
    parser.add_argument("release", nargs="?", help="its id; the newest candidate unless you say so")
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="let it answer everything in production without shadow and canary",
    )
    parser.add_argument(
        "--without-gate",
        metavar="REASON",
        help="bring a release to production that the gate has not let pass; the reason is recorded",
    )
    return parser.parse_args(arguments)
