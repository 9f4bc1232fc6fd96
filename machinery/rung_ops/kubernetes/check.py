"""Build every overlay and check it against Kubernetes' schemas: `uv run poe kubernetes-check`.

No cluster is asked. Exit code 0: all hold. 1: something does not, and is named. 2: it could not
look, as Kustomize is missing or an overlay cannot be built.
"""

import argparse
import sys

from rung_ops.kubernetes import manifests
from rung_ops.kubernetes.manifests import CannotBuild, Manifest, Verdict
from rung_ops.release import paths
from rung_ops.serving import policy
from rung_ops.serving.settings import BadSettings


def main(arguments: list[str] | None = None) -> int:
    """Check; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="poe kubernetes-check", description=__doc__.splitlines()[0]
    )
    parser.add_argument("overlay", nargs="*", help="all of them unless you name some")
    parser.add_argument(
        "--version",
        default=manifests.VERSION,
        help=f"of Kubernetes; {manifests.VERSION} unless you say so",
    )
    options = parser.parse_args(arguments)
    faults = 0
    try:
        for overlay in options.overlay or manifests.overlays():
            built = manifests.parse(manifests.build(overlay))
            verdict = manifests.check(built, options.version)
            print(summary(overlay, verdict, options.version))
            for line in [*verdict.faults, *doubts(built)]:
                print(f"- {line}")
            faults += len(verdict.faults)
    except (CannotBuild, BadSettings) as error:
        print(f"Not checked: {error}", file=sys.stderr)
        return 2
    return 1 if faults else 0


def summary(overlay: str, verdict: Verdict, version: str) -> str:
    """Say how many manifests were checked, how many are valid, and what was not checked."""
    looked = len(verdict.held) + len(verdict.faults)
    said = f"{overlay}: {len(verdict.held)} of {looked} manifests hold for Kubernetes {version}"
    if verdict.unknown:
        kinds = ", ".join(sorted(set(verdict.unknown)))
        said += f"; not checked, as their schemas come with the cluster: {kinds}"
    return said


def doubts(built: list[Manifest]) -> list[str]:
    """Say what no schema knows: how sure an automatic rollout is where several pods judge it.

    Each pod judges a release by what it answered itself, so that each is a chance for a false
    alarm (docs/kubernetes.md). In staging a release answers at once, and nobody judges it.
    """
    rules = policy.policy()
    most = 1
    for scaler in manifests.of_kind(built, "HorizontalPodAutoscaler"):
        if scaler["metadata"]["labels"].get("environment") != paths.STAGING:
            most = max(most, scaler["spec"]["maxReplicas"])
    if rules is None or most == 1:
        return []
    together = min(1.0, rules.false_abort * most)
    return [
        f"up to {most} pods judge a new release, each with false_abort = {rules.false_abort:g} "
        f"(ops/rollout.toml): together up to {together:g}; docs/kubernetes.md says what to do"
    ]
