"""Build every overlay and check it against Kubernetes' schemas: `uv run poe kubernetes-check`.

It needs no cluster. Exit code 0: all manifests are valid. 1: some are not. 2: nothing was checked,
because Kustomize is missing or an overlay cannot be built.
"""

import argparse
import sys

from rung_ops.errors import SettingsError
from rung_ops.kubernetes import manifests
from rung_ops.kubernetes.manifests import CannotBuild, Manifest, Verdict
from rung_ops.project import release_folders
from rung_ops.release import rollout


def main(arguments: list[str] | None = None) -> int:
    """Check; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="poe kubernetes-check", description=__doc__.splitlines()[0]
    )
    parser.add_argument("overlay", nargs="*", help="overlays to check; all by default")
    parser.add_argument(
        "--version",
        default=manifests.VERSION,
        help=f"version of Kubernetes ({manifests.VERSION})",
    )
    options = parser.parse_args(arguments)
    faults = 0
    try:
        for overlay in options.overlay or manifests.overlays():
            built = manifests.parse(manifests.build(overlay))
            verdict = manifests.check(built, options.version)
            print(summary(overlay, verdict, options.version))
            for line in [*verdict.faults, *notes(built)]:
                print(f"- {line}")
            faults += len(verdict.faults)
    except (CannotBuild, SettingsError) as error:
        print(f"Not checked: {error}", file=sys.stderr)
        return 2
    return 1 if faults else 0


def summary(overlay: str, verdict: Verdict, version: str) -> str:
    """Describe how many manifests were checked and are valid, and which were not checked."""
    checked = len(verdict.valid) + len(verdict.faults)
    line = (
        f"{overlay}: {len(verdict.valid)} of {checked} manifests are valid for Kubernetes {version}"
    )
    if verdict.unknown:
        kinds = ", ".join(sorted(set(verdict.unknown)))
        line += f"; not checked, as their schemas come with the cluster: {kinds}"
    return line


def notes(built: list[Manifest]) -> list[str]:
    """Return notes on the probability of a false abort of a rollout by several pods.

    Each pod judges a release by its own requests, so each one can abort it by chance
    (docs/kubernetes.md). Staging serves a release at once, without a rollout.
    """
    rules = rollout.read_policy()
    most = 1
    for scaler in manifests.of_kind(built, "HorizontalPodAutoscaler"):
        if scaler["metadata"]["labels"].get("environment") != release_folders.STAGING:
            most = max(most, scaler["spec"]["maxReplicas"])
    if rules is None or most == 1:
        return []
    together = min(1.0, rules.false_abort * most)
    return [
        f"up to {most} pods judge a new release, each with false_abort = {rules.false_abort:g} "
        f"(ops/rollout.toml): together up to {together:g}; docs/kubernetes.md says what to do"
    ]
