"""Whatever prevents the deployment of an overlay is named, with what to do. No cluster is asked:
a program named kubectl is served instead.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from machinery.tests.conftest import Capture, Patch
from rung_ops.kubernetes import deploy, manifests
from rung_ops.project import current

STAND_IN = """#!/bin/sh
echo "$@" >> {folder}/asked
case "$1" in
  config) {config} ;;
  version) {version} ;;
  apply) cat > {folder}/applied; {apply} ;;
  rollout) {rollout} ;;
  get) echo "prediction-1: ImagePullBackOff no such image" ;;
esac
"""
FINE = {"config": "echo here", "version": ":", "apply": "echo created", "rollout": "echo done"}
KubeCtl = Callable[..., Path]


@pytest.fixture
def kubectl(monkeypatch: Patch, tmp_path: Path) -> KubeCtl:
    """Put a scripted kubectl on PATH, and build only the overlay's Deployment."""
    deployment = yaml.safe_load(
        (current().root / "deploy/kubernetes/service/deployment.yaml").read_text(encoding="utf-8")
    )
    deployment["metadata"]["namespace"] = "here"
    monkeypatch.setattr(manifests, "build", lambda overlay: yaml.safe_dump(deployment))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def made(**otherwise: str) -> Path:
        program = tmp_path / "kubectl"
        program.write_text(STAND_IN.format(folder=tmp_path, **(FINE | otherwise)))
        program.chmod(0o755)
        return tmp_path

    return made


def test_what_was_checked_is_what_is_applied(kubectl: KubeCtl, capsys: Capture) -> None:
    folder = kubectl()

    assert deploy.main(["staging"]) == 0

    applied = yaml.safe_load((folder / "applied").read_text())
    assert applied["kind"] == "Deployment"
    output = capsys.readouterr().out
    assert "to the cluster here" in output and "staging is ready" in output


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ({"config": "exit 1"}, 2, "kubectl has no current cluster"),
        (
            {"version": "echo connection refused >&2; exit 1"},
            2,
            "does not answer: connection refused",
        ),
        ({"apply": "echo Forbidden >&2; exit 1"}, 1, "`kubectl apply` failed: Forbidden"),
        (
            {"apply": "echo 'no matches for kind \"ServiceMonitor\"' >&2; exit 1"},
            1,
            "remove its component",
        ),
        ({"rollout": "echo timed out >&2; exit 1"}, 1, "ImagePullBackOff no such image"),
    ],
)
def test_a_cluster_that_does_not_take_it_is_explained(
    kubectl: KubeCtl, capsys: Capture, answer: dict[str, str], code: int, message: str
) -> None:
    kubectl(**answer)

    assert deploy.main(["staging"]) == code
    assert message in capsys.readouterr().err


def test_without_kubectl_nothing_is_tried(
    kubectl: KubeCtl, monkeypatch: Patch, tmp_path: Path, capsys: Capture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))

    assert deploy.main(["staging"]) == 2
    assert "`kubectl` is not on PATH" in capsys.readouterr().err


def test_wrong_manifests_reach_no_cluster(
    kubectl: KubeCtl, monkeypatch: Patch, capsys: Capture
) -> None:
    folder = kubectl()
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spek": {}}
    monkeypatch.setattr(manifests, "build", lambda overlay: yaml.safe_dump(wrong))

    assert deploy.main(["staging"]) == 1
    assert "the manifests are invalid" in capsys.readouterr().err
    assert not (folder / "asked").exists()
