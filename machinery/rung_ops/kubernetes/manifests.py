"""Build the overlays of deploy/kubernetes, check them against Kubernetes' schemas, and write alert rules.

Nothing here needs a cluster.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml

from rung_ops.command import OK, REFUSED, verb
from rung_ops.errors import SettingsError, UsageError
from rung_ops.project import current, paths
from rung_ops.project.paths import shown
from rung_ops.release import rollout

OVERLAYS = "deploy/kubernetes/overlays"
VERSION = "1.32"  # of Kubernetes, for the schemas

Manifest = dict[str, Any]


@dataclass
class OverlayCheck:
    """The result of checking the manifests of an overlay."""

    # Names of valid manifests, such as "Service prediction".
    valid: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # a sentence for each invalid manifest
    # Kinds without a schema in Kubernetes itself, which were not checked.
    unknown: list[str] = field(default_factory=list)


def overlays() -> list[str]:
    """List the overlays."""
    folder = current().repository / OVERLAYS
    return sorted(path.parent.name for path in folder.glob("*/kustomization.yaml"))


def build(overlay: str) -> str:
    """Build an overlay; return its manifests as YAML."""
    folder = overlay_file(overlay).parent
    if overlay not in overlays():
        raise UsageError(f"there is no overlay {overlay}; there are {', '.join(overlays())}")
    done = subprocess.run(
        [*_kustomize(), str(folder)], capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise UsageError(f"{shown(folder)} cannot be built: {done.stderr.strip()}")
    return done.stdout


def overlay_file(overlay: str) -> Path:
    """Return the path of an overlay's kustomization.yaml."""
    return current().repository / OVERLAYS / overlay / "kustomization.yaml"


def with_image(text: str, reference: str) -> str:
    """Return the text of an overlay's kustomization.yaml with another image of the service.

    Args:
        text: has an entry `service` under `images`, with newName and newTag or digest.
        reference: REPOSITORY@sha256:DIGEST.
    """
    repository, _, digest = reference.partition("@")
    entry = re.compile(r"^(( *)- name: service\n) +newName: .*\n +(?:newTag|digest): .*$", re.M)
    lines = rf"\g<1>\g<2>  newName: {repository}\n\g<2>  digest: {digest}"
    result, found = entry.subn(lines, text)
    # Of two keys `digest`, Kustomize would take the other one.
    wanted = {"name": "service", "newName": repository, "digest": digest}
    try:
        images = yaml.safe_load(result)["images"] if found == 1 else []
    except (yaml.YAMLError, KeyError):
        images = []
    if [each for each in images if each.get("name") == "service"] != [wanted]:
        raise UsageError(
            "the overlay's `images` needs one entry with these lines alone: `- name: service`, "
            "`newName: ...`, and `newTag: ...` or `digest: ...`"
        )
    return result


def parse(text: str) -> list[Manifest]:
    """Parse manifests."""
    return [each for each in yaml.safe_load_all(text) if each]


def check(manifests: list[Manifest], version: str = VERSION) -> OverlayCheck:
    """Check manifests against the schemas of a version of Kubernetes; unknown fields are faults."""
    import kubernetes_validate as schemas

    result = OverlayCheck()
    for manifest in manifests:
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        try:
            schemas.validate(manifest, version, strict=True)
            result.valid.append(name)
        except schemas.ValidationError as error:
            where = ".".join(str(part) for part in error.path)
            result.faults.append(f"{name}: {where or 'it'}: {error.message}")
        except schemas.SchemaNotFoundError:
            result.unknown.append(manifest["kind"])
        except schemas.VersionNotSupportedError as error:
            raise UsageError(
                f"there are no schemas of Kubernetes {version}: name another version, or run "
                "`uv lock --upgrade-package kubernetes-validate`"
            ) from error
    return result


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Return the manifests of a kind."""
    return [each for each in manifests if each["kind"] == kind]


def _kustomize() -> list[str]:
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    raise UsageError(
        "building overlays needs `kustomize` or `kubectl` on PATH. Install one with the package "
        "manager of your system, or see "
        "https://kubectl.docs.kubernetes.io/installation/kustomize/."
    )


@verb(
    "poe kubernetes-check",
    epilog="Exit code 0: all manifests are valid. 1: some are not. 2: nothing was checked, because "
    "Kustomize is missing or an overlay cannot be built.",
)
@click.argument("overlay", nargs=-1)
@click.option("--version", default=VERSION, show_default=True, help="version of Kubernetes")
def check_overlays(overlay: tuple[str, ...], version: str) -> int:
    """Build every overlay, or those that are named, and check it against Kubernetes' schemas."""
    faults = 0
    try:
        for name in overlay or overlays():
            built = parse(build(name))
            result = check(built, version)
            print(summary(name, result, version))
            for line in [*result.faults, *notes(built)]:
                print(f"- {line}")
            faults += len(result.faults)
    except (UsageError, SettingsError) as error:
        raise UsageError(f"Not checked: {error}") from error
    return REFUSED if faults else OK


def summary(overlay: str, result: OverlayCheck, version: str) -> str:
    """Describe how many manifests were checked and are valid, and which were not checked."""
    checked = len(result.valid) + len(result.faults)
    line = (
        f"{overlay}: {len(result.valid)} of {checked} manifests are valid for Kubernetes {version}"
    )
    if result.unknown:
        kinds = ", ".join(sorted(set(result.unknown)))
        line += f"; not checked, as their schemas come with the cluster: {kinds}"
    return line


def notes(built: list[Manifest]) -> list[str]:
    """Return notes on the probability of a false abort of a rollout by several pods.

    Each pod judges a release by its own requests, so each one can abort it by chance
    (docs/kubernetes.md). Staging serves a release at once, without a rollout.
    """
    rules = rollout.read_policy()
    most = 1
    for scaler in of_kind(built, "HorizontalPodAutoscaler"):
        if scaler["metadata"]["labels"].get("environment") != paths.STAGING:
            most = max(most, scaler["spec"]["maxReplicas"])
    if rules is None or most == 1:
        return []
    together = min(1.0, rules.false_abort * most)
    return [
        f"up to {most} pods judge a new release, each with false_abort = {rules.false_abort:g} "
        f"(ops/rollout.toml): together up to {together:g}; docs/kubernetes.md says what to do"
    ]


def operator_rules_file() -> Path:
    """Return the path of the rules for the Prometheus operator."""
    return current().repository / "deploy/kubernetes/components/alerts/rules.yaml"


def _operator_rules(source: Path) -> str:
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "prediction", "labels": {"app.kubernetes.io/name": "prediction"}},
        "spec": yaml.safe_load(source.read_text(encoding="utf-8")),
    }
    written = yaml.safe_dump(rule, sort_keys=False, allow_unicode=True, width=100)
    return f"# Written by `uv run poe kubernetes-alerts`.\n{written}"


@verb(
    "poe kubernetes-alerts",
    epilog="Exit code 2: alerts.yml is missing or is not valid YAML. With --check, 1: the file is out "
    "of date.",
)
@click.option("--check", is_flag=True, help="only check whether it is up to date")
def write_alerts(check: bool) -> int:
    """Write the alert rules of ops/prometheus/alerts.yml for the Prometheus operator."""
    source = current().repository / "ops/prometheus/alerts.yml"
    try:
        wanted = _operator_rules(source)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{shown(source)} cannot be read: {error}") from error
    path = operator_rules_file()
    if path.is_file() and path.read_text(encoding="utf-8") == wanted:
        print(f"{shown(path)} is up to date")
        return OK
    if check:
        print(f"{shown(path)} is out of date: run `uv run poe kubernetes-alerts`.")
        return REFUSED
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(wanted, encoding="utf-8")
    print(f"Wrote {shown(path)}.")
    return OK
