"""Deployment of a release to staging or production: `uv run poe deploy ENVIRONMENT [RELEASE]`.

A candidate is copied into the environment, verified and loaded there; production also asks for the verdict
of the gate. The registry's alias `champion` follows for people: service, gate and rollback read the state
of the environment, so an unreachable registry delays nothing.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import polars as pl

from rung_ops.command import verb
from rung_ops.errors import OpsError
from rung_ops.gate import rules as gate_rules
from rung_ops.model import bundle, released
from rung_ops.model.bundle import BundleError
from rung_ops.project import paths
from rung_ops.project.paths import project_name, shown
from rung_ops.project.service_settings import limits
from rung_ops.release import rollout, state
from rung_ops.release.contract_file import refuse_without_values
from rung_ops.release.history import State, UncertainChangeError, is_release_id
from rung_ops.release.rollout import read_policy
from rung_ops.system import files
from rung_ops.system.printable import printable

IDENTITY = ("version", "run_id", "git_commit", "data_hash")


def gate_objections(manifest: dict[str, Any], state: State, awaited: bool = False) -> Iterator[str]:
    """Yield the reasons why the last verdict of the gate does not admit a release to production.

    Args:
        manifest: of the release.
        state: of production.
        awaited: accept a verdict that awaits only a decision of people.
    """
    path = gate_rules.verdict_file()
    remedy = f"run `uv run poe gate {manifest.get('version')}`"
    try:
        verdict = json.loads(path.read_bytes())
        judged, champion = verdict["challenger"], verdict["champion"]
        passed, reasons = verdict["promote"], verdict["reasons"]
        awaits = verdict.get("awaits", [])
    except FileNotFoundError:
        yield f"{shown(path)} is missing; {remedy}"
        return
    except (ValueError, KeyError, TypeError):
        yield f"{shown(path)} is not a verdict of the gate; {remedy}"
        return
    other = [name for name in IDENTITY if judged.get(name) != str(manifest.get(name))]
    if other:
        yield f"the gate judged another version, {judged.get('version')}; {remedy}"
        return
    if passed is not True and not (awaited and awaits and not reasons):
        yield from [*reasons, *awaits] or ["the gate rejected it"]
    if state.serving and (champion or {}).get("release") != state.serving:
        yield f"the gate did not compare it with {state.serving}, which is served now; {remedy}"


def keep_verdict(folder: Path, release: str) -> None:
    """Copy the gate's verdict on a release to its environment: in CI reports/ ends with the run."""
    kept = paths.verdicts(folder) / f"{release}.json"
    try:
        with files.locked(kept.parent):
            files.write(kept, gate_rules.verdict_file().read_bytes())
    except OSError as error:
        print(f"`poe reports` will lack the verdict on {release}: {error}", file=sys.stderr)


DRAFT = ".draft"


def newest_candidate() -> str | None:
    """Return the id of the newest candidate; None without candidates."""
    made = []
    for name in candidates():
        try:
            manifest = bundle.read_manifest(paths.candidates() / name)
            made.append((manifest["created"], name))
        except BundleError:
            continue  # `poe deploy ENVIRONMENT NAME` says what is wrong with it
    return max(made)[1] if made else None


def candidates() -> list[str]:
    """List the ids of all candidates."""
    return sorted(path.name for path in paths.candidates().glob("[!.]*"))


def no_such_candidate(release: str) -> str:
    """Say that there is no candidate of an id, which there are, and what to do."""
    made = ", ".join(candidates())
    lacks, place = f"There is no release {printable(release)}", shown(paths.candidates())
    if not made:
        return f"{lacks}: {place} has none yet. `uv run poe release` makes one."
    return f"{lacks}: {place} has {made}. Type the command again with one of these."


def install(folder: Path, release: str, load: Callable[[Path], object] | None = None) -> Path:
    """Copy a candidate to the bundles of an environment, and load it as the service does.

    A valid release of that id is left unchanged. If the process is killed, a release exists under
    its id only if it is complete. Where the environment is in a bucket, what that has of the id
    counts before the candidate, which is uploaded otherwise.

    Args:
        folder: of the environment.
        release: id of the candidate.
        load: loads a bundle as the service does; here by default.

    Raises:
        BundleError: there is no such candidate, or the service would refuse it.
        BucketError: the bucket cannot be used.
    """
    store = state.state_store(folder)
    if is_release_id(release):
        store.download(release)
    final = _copy(folder, release, load or check_bundle)
    store.upload(release)
    return final


def _copy(folder: Path, release: str, load: Callable[[Path], object]) -> Path:
    if not is_release_id(release):
        raise BundleError(no_such_candidate(release))
    source, final = paths.candidates() / release, paths.bundle(folder, release)
    bundles = final.parent
    draft = bundles / DRAFT
    with files.locked(bundles):
        shutil.rmtree(draft, ignore_errors=True)  # left by a deployment that was killed
        if final.exists():
            with suppress(BundleError):
                load(final)
                return final
        if not source.is_dir():
            raise BundleError(no_such_candidate(release))
        copied = draft / release
        try:
            shutil.copytree(source, copied, symlinks=True)
            load(copied)
            files.sync_tree(copied)
            if final.exists():
                final.rename(draft / "replaced")
            copied.rename(final)
            files.sync(bundles)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return final


def delete_unused(folder: Path, used: Iterable[str]) -> list[str]:
    """Delete the unused bundles of an environment; return their ids."""
    bundles = paths.bundle(folder, "x").parent
    with files.locked(bundles):
        old = {path.name for path in bundles.glob("[!.]*")} - set(used)
        for name in old:
            shutil.rmtree(bundles / name)
    return sorted(old)


def check_bundle(path: Path | str) -> None:
    """Load a bundle as the service does, and see that it is of this model; raises as install()."""
    path = Path(path)
    loaded = released.load(path, bundle.public_key(), limits())
    # One key signs all models of a repository, so the signature does not identify the model.
    if (model := loaded.manifest["model"]) != project_name():
        raise BundleError(
            f"{path.name} is a release of the model {model}, but this is {project_name()}: deploy "
            f"it from the folder of {model}. If the model was renamed, `uv run poe release` "
            "creates a release under its new name."
        )
    refuse_without_values(path.name, loaded.contract)


def set_champion(version: str) -> str:
    """Set the alias; return the result as a sentence for the person who deploys."""
    # One short try instead of several long ones; MLflow reads these when it is imported.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    try:
        from rung_ops.tracking import registry

        model = registry.model_name()
        registry.client().set_registered_model_alias(model, registry.CHAMPION, version)
    except Exception as error:  # an unreachable registry may raise anything
        reason = str(error).strip().splitlines()[0][:200]
        return (
            f"The alias `champion` could not be set to version {version} ({reason}). Run the same "
            "command again when the registry is reachable."
        )
    return f"{model} version {version} is {registry.CHAMPION} in the registry."


SHADOW_SHARE = 1.0  # share of the requests without ops/rollout.toml
NOT_PASSED = (
    "it has not passed the gate. `--without-gate REASON` deploys it anyway; the reason is recorded."
)
TAKEN_BACK = {"roll_back": "rolled back", "abort": "aborted"}  # events, and what they say


def begin(
    folder: Path,
    release: str,
    by: str,
    at_once: bool = False,
    expected: int | None = None,
    plan: state.Plan | None = None,
) -> State:
    """Start serving an installed release: to all requests, as a canary or as a shadow.

    Args:
        folder: of the environment.
        release: its id.
        by: the person who deploys.
        at_once: serve it to all requests, whatever ops/rollout.toml says.
        expected: generation of the state that the decision is based on.
        plan: of its trial, if ops/rollout.toml has rules for that.
    """
    if at_once or folder.name == paths.STAGING or state.read(folder).serving is None:
        return state.serve(folder, release, by, expected)
    rules = read_policy()
    share = rules.shadow.share if rules else SHADOW_SHARE
    if share > 0:
        return state.shadow(folder, release, share, by, expected, plan)
    return state.canary(folder, release, by, expected, plan)


def rollback_event(folder: Path, release: str) -> dict[str, Any] | None:
    """Return the last event of a release in an environment if that took it back."""
    for event in reversed(state.events(folder)):
        if state.concerns(event, release):
            return event if event["event"] in TAKEN_BACK else None
    return None


@verb("poe deploy")
@click.argument("environment", type=click.Choice(paths.ENVIRONMENTS))
@click.argument("release", required=False)
@click.option(
    "--at-once",
    is_flag=True,
    help="serve it to all requests in production, without shadow and canary",
)
@click.option(
    "--plan",
    is_flag=True,
    help="only say how long the rollout would take at the traffic that the log has seen",
)
@click.option(
    "--without-gate",
    metavar="REASON",
    help="deploy to production a release that has not passed the gate; the reason is recorded",
)
def main(
    environment: str, release: str | None, at_once: bool, plan: bool, without_gate: str | None
) -> int:
    """Deploy a release to staging or production.

    RELEASE is its id; the newest by default. Staging, and an environment without a release, serve it
    at once. In production it starts as a shadow or as a canary, as ops/rollout.toml says; without
    that file it stays a shadow.
    """
    folder = paths.environment(environment)
    try:
        if plan:
            _say_how_long(_traffic(environment))
            return 0
        chosen = release or newest_candidate()
        if chosen is None:
            raise BundleError(
                f"{shown(paths.candidates())} has no release: `uv run poe release` creates one"
            )
        now = state.read(folder)
        role = now.role_of(chosen)
        if role and (now.serving == chosen or not at_once):
            install(folder, chosen)  # replaces a bundle that was damaged on disk
            print(f"{chosen} {role} in {environment} already.")
            if not release:
                print("It is the newest release: `uv run poe release` releases a new version.")
        else:
            if not release:
                _refuse_rolled_back(folder, chosen)
            traffic = _traffic(environment)
            now = _deploy(folder, chosen, now, at_once, without_gate, traffic)
            print(f"{chosen} {now.role_of(chosen)} in {environment}.")
            if now.serving == chosen:
                serve = f"uv run poe serve --environment {environment}"
                print(f"A running service answers with it within a second; `{serve}` starts one.")
            for trial in (now.canary, now.shadow):
                if trial and trial.release == chosen:
                    _say_how_long(traffic, trial.plan)
    except UncertainChangeError:
        raise
    except (OpsError, OSError) as error:
        raise OpsError(f"Nothing was changed in {environment}: {error}") from error
    if environment == paths.PRODUCTION:
        print(_update_alias(folder, str(now.serving)))
    return 0


def _say_how_long(traffic: rollout.Traffic | None, plan: state.Plan | None = None) -> None:
    rules = read_policy()
    if rules is not None:
        for line in rollout.duration_lines(rollout.of_trial(rules, plan), traffic):
            print(line)


def _traffic(environment: str) -> rollout.Traffic | None:
    if read_policy() is None:
        return None
    try:
        now = datetime.fromtimestamp(state.clock(), UTC)
        return rollout.logged_traffic(environment, now)
    except (OSError, pl.exceptions.PolarsError) as error:  # it does not affect the deployment
        print(f"The traffic is not known, as the log cannot be read: {error}")
        return None


def _update_alias(folder: Path, serving: str) -> str:
    try:
        version = bundle.read_manifest(paths.bundle(folder, serving))["version"]
    except BundleError as error:
        return f"The alias `champion` of the registry was not changed: {error}"
    return set_champion(version)


def _refuse_rolled_back(folder: Path, release: str) -> None:
    if rollback := rollback_event(folder, release):
        reason = rollback["detail"].get("reason") or "no reason given"
        happened = TAKEN_BACK[rollback["event"]]
        raise state.ChangeRefusedError(
            f"{release} was {happened} at {rollback['at']} by {rollback['by']} ({reason}). "
            f"`uv run poe deploy {folder.name} {release}` deploys it again."
        )


def _deploy(
    folder: Path,
    release: str,
    before: State,
    at_once: bool,
    without_gate: str | None,
    traffic: rollout.Traffic | None,
) -> State:
    try:
        manifest = bundle.read_manifest(install(folder, release))
    except BundleError:
        state.expect(folder, before.generation)  # another deployment may have deleted it
        raise
    by = paths.person()
    reasons: list[str] = []
    if folder.name == paths.PRODUCTION:
        reasons = list(gate_objections(manifest, before))
        if reasons and not without_gate:
            raise state.ChangeRefusedError("\n- ".join([NOT_PASSED, *reasons]))
        if reasons:
            state.note(folder, "without_gate", by, release=release, reason=without_gate)
        else:
            keep_verdict(folder, release)
    rules = read_policy()
    plan = rollout.plan(rules, traffic, passed_gate=not reasons) if rules else None
    now = begin(folder, release, by, at_once, before.generation, plan)
    try:
        delete_unused(folder, now.releases())
    except OSError as error:  # the deployment itself succeeded
        print(f"Old bundles could not be deleted: {error}", file=sys.stderr)
    return now
