"""Deploy a release to staging or production: `uv run poe deploy ENVIRONMENT [RELEASE]`.

Staging, and an environment without a release, serve it at once. In production it starts as a shadow
or as a canary, as ops/rollout.toml says; without that file it stays a shadow.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops.errors import SettingsError
from rung_ops.model import bundle
from rung_ops.model.bundle import BundleError
from rung_ops.project import release_folders
from rung_ops.project.paths import shown
from rung_ops.release import champion_alias, gate_check, install, rollout_time, state, status
from rung_ops.release.rollout_policy import policy
from rung_ops.release.state import State
from rung_ops.system import locks

SHADOW_SHARE = 1.0  # share of the requests without ops/rollout.toml
NOT_PASSED = (
    "it has not passed the gate. `--without-gate REASON` deploys it anyway; the reason is recorded."
)
ROLLED_BACK = ("roll_back", "abort")


def begin(
    folder: Path, release: str, by: str, at_once: bool = False, expected: int | None = None
) -> State:
    """Start serving an installed release: to all requests, as a canary or as a shadow.

    Args:
        folder: of the environment.
        release: its id.
        by: the person who deploys.
        at_once: serve it to all requests, whatever ops/rollout.toml says.
        expected: generation of the state that the decision is based on.

    Raises:
        state.Refused: the state does not allow it.
        SettingsError: ops/rollout.toml or ops/service.toml is invalid.
    """
    if at_once or folder.name == release_folders.STAGING or state.read(folder).serving is None:
        return state.serve(folder, release, by, expected)
    rules = policy()
    share = rules.shadow.share if rules else SHADOW_SHARE
    if share > 0:
        return state.shadow(folder, release, share, by, expected)
    return state.canary(folder, release, by, expected)


def rollback_event(folder: Path, release: str) -> dict[str, Any] | None:
    """Return the last event of a release in an environment if that rolled it back."""
    last = None
    for event in state.events(folder):
        if state.concerns(event, release):
            last = event
    return last if last and last["event"] in ROLLED_BACK else None


def main(arguments: list[str] | None = None) -> int:
    """Deploy; return the exit code."""
    options = _options(arguments)
    environment = options.environment
    folder = release_folders.environment(environment)
    try:
        if options.plan:
            _say_how_long(environment)
            return 0
        release = options.release or install.newest()
        if release is None:
            raise BundleError(
                f"{shown(release_folders.candidates())} has no release: `uv run poe release` creates one"
            )
        now = state.read(folder)
        role = status.role_of(now, release)
        if role and (now.serving == release or not options.at_once):
            install.install(folder, release)  # replaces a bundle that was damaged on disk
            print(f"{release} {role} in {environment} already.")
            if not options.release:
                print("It is the newest release: `uv run poe release` releases a new version.")
        else:
            now = _deploy(folder, release, now, options)
            print(f"{release} {status.role_of(now, release)} in {environment}.")
            if now.on_trial:
                _say_how_long(environment)
    except (
        BundleError,
        SettingsError,
        state.Refused,
        state.BadState,
        locks.LockTimeoutError,
        OSError,
    ) as error:
        print(f"Nothing was changed in {environment}: {error}", file=sys.stderr)
        return 1
    if environment == release_folders.PRODUCTION:
        print(_update_alias(folder, str(now.serving)))
    return 0


def _say_how_long(environment: str) -> None:
    rules = policy()
    if rules is None:
        return
    try:
        traffic = rollout_time.traffic(environment, datetime.now(UTC))
    except (OSError, pl.exceptions.PolarsError) as error:  # it does not affect the deployment
        print(f"How long the rollout takes is not known, as the log cannot be read: {error}")
        return
    for line in rollout_time.lines(rules, traffic):
        print(line)


def _update_alias(folder: Path, serving: str) -> str:
    try:
        version = bundle.read_manifest(release_folders.bundle(folder, serving))["version"]
    except BundleError as error:
        return f"The alias `champion` of the registry was not changed: {error}"
    return champion_alias.follow(version)


def _deploy(folder: Path, release: str, before: State, options: argparse.Namespace) -> State:
    rollback = rollback_event(folder, release)
    if rollback and not options.release:
        reason = rollback["detail"].get("reason") or "no reason given"
        raise state.Refused(
            f"{release} was rolled back at {rollback['at']} by {rollback['by']} ({reason}). "
            f"`uv run poe deploy {folder.name} {release}` deploys it again."
        )
    try:
        manifest = bundle.read_manifest(install.install(folder, release))
    except BundleError:
        state.expect(folder, before.generation)  # another deployment may have deleted it
        raise
    by = release_folders.person()
    if folder.name == release_folders.PRODUCTION:
        reasons = list(gate_check.objections(manifest, before))
        if reasons and not options.without_gate:
            raise state.Refused("\n- ".join([NOT_PASSED, *reasons]))
        if reasons:
            state.note(folder, "without_gate", by, release=release, reason=options.without_gate)
    now = begin(folder, release, by, options.at_once, before.generation)
    try:
        install.forget(folder, now.releases())
    except OSError as error:  # the deployment itself succeeded
        print(f"Old bundles could not be deleted: {error}", file=sys.stderr)
    return now


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="poe deploy", description=__doc__.splitlines()[0])
    parser.add_argument("environment", choices=release_folders.ENVIRONMENTS)
    parser.add_argument("release", nargs="?", help="id of the release; the newest by default")
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="serve it to all requests in production, without shadow and canary",
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="only say how long the rollout would take at the traffic that the log has seen",
    )
    parser.add_argument(
        "--without-gate",
        metavar="REASON",
        help="deploy to production a release that has not passed the gate; the reason is recorded",
    )
    return parser.parse_args(arguments)
