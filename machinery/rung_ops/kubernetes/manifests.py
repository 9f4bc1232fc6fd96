"""Build the overlays of deploy/kubernetes, and check the result against Kubernetes' schemas."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rung_ops.project import current
from rung_ops.project.paths import shown


def overlays_folder() -> Path:
    """Return the folder of the overlays."""
    return current().repository / "deploy/kubernetes/overlays"


VERSION = "1.32"  # of Kubernetes, for the schemas

Manifest = dict[str, Any]


class CannotBuild(Exception):
    """Kustomize is missing, or an overlay cannot be built; the message says what to do."""


@dataclass
class Verdict:
    """The result of checking the manifests of an overlay.

    Attributes:
        valid: names of valid manifests, such as "Service prediction".
        faults: a sentence for each invalid manifest.
        unknown: kinds without a schema in Kubernetes itself, which were not checked.
    """

    valid: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def overlays() -> list[str]:
    """List the overlays."""
    return sorted(path.parent.name for path in overlays_folder().glob("*/kustomization.yaml"))


def build(overlay: str) -> str:
    """Build an overlay; return its manifests as YAML.

    Raises:
        CannotBuild: there is no such overlay, Kustomize failed, or it is not installed.
    """
    folder = overlays_folder() / overlay
    if overlay not in overlays():
        raise CannotBuild(f"there is no overlay {overlay}; there are {', '.join(overlays())}")
    done = subprocess.run(
        [*_kustomize(), str(folder)], capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise CannotBuild(f"{shown(folder)} cannot be built: {done.stderr.strip()}")
    return done.stdout


def parse(text: str) -> list[Manifest]:
    """Parse manifests."""
    return [each for each in yaml.safe_load_all(text) if each]


def check(manifests: list[Manifest], version: str = VERSION) -> Verdict:
    """Check manifests against the schemas of a version of Kubernetes; unknown fields are faults.

    Raises:
        CannotBuild: there are no schemas of that version.
    """
    import kubernetes_validate as schemas

    verdict = Verdict()
    for manifest in manifests:
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        try:
            schemas.validate(manifest, version, strict=True)
            verdict.valid.append(name)
        except schemas.ValidationError as error:
            where = ".".join(str(part) for part in error.path)
            verdict.faults.append(f"{name}: {where or 'it'}: {error.message}")
        except schemas.SchemaNotFoundError:
            verdict.unknown.append(manifest["kind"])
        except schemas.VersionNotSupportedError as error:
            raise CannotBuild(
                f"there are no schemas of Kubernetes {version}: name another version, or run "
                "`uv lock --upgrade-package kubernetes-validate`"
            ) from error
    return verdict


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Return the manifests of a kind."""
    return [each for each in manifests if each["kind"] == kind]


def _kustomize() -> list[str]:
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    raise CannotBuild(
        "building overlays needs `kustomize` or `kubectl` on PATH. Install one with the package "
        "manager of your system, or see "
        "https://kubectl.docs.kubernetes.io/installation/kustomize/."
    )
