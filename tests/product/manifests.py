"""What kustomize makes of the manifests of a project."""

from pathlib import Path
from typing import Any

import yaml

from tests.product.conftest import run, tool

KUBERNETES = "1.32"
OVERLAYS = "deploy/kubernetes/overlays"


def built(project: Path, folder: str) -> list[dict[str, Any]]:
    directory = project / (folder if "/" in folder else f"{OVERLAYS}/{folder}")
    text = run(tool("kustomize"), "build", directory, cwd=project).stdout
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def holds(folder: Path, *files: Path, expect: int = 0) -> str:
    """Hold manifests against the schemas of Kubernetes; return what is said of them."""
    if not (folder / "venv").exists():
        install = ("uv", "pip", "install", "--quiet", "--python", "venv", "kubernetes-validate")
        run("uv", "venv", "--quiet", "venv", cwd=folder)
        run(*install, cwd=folder)
    command = ("venv/bin/kubernetes-validate", "-k", KUBERNETES, "--strict")
    return run(*command, *files, cwd=folder, expect=expect).stdout


def of_kind(manifests: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [each for each in manifests if each["kind"] in kinds]
