"""The Ray jobs for Kubernetes are what kustomize builds and what Kubernetes takes as pods.

RayJob is the operator's own kind, without a packaged schema: here its pods are checked against
Kubernetes' schemas, and so is what the operator needs of the rest.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, Render
from tests.product.manifests import built, holds, of_kind

pytestmark = pytest.mark.slow


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Lift the pods out of a RayJob."""
    spec = job["spec"]
    cluster = spec["rayClusterSpec"]
    templates = [spec["submitterPodTemplate"], cluster["headGroupSpec"]["template"]]
    templates += [group["template"] for group in cluster["workerGroupSpecs"]]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{job['metadata']['name']}-{number}"},
            "spec": template["spec"],
        }
        for number, template in enumerate(templates)
    ]


@pytest.mark.parametrize("level", [1, 2])
def test_the_pods_of_the_jobs_are_pods(render: Render, tmp_path: Path, level: int) -> None:
    project = render(use_case="governance", level=level, compute="ray_on_kubernetes")
    documents = built(project, "deploy/kubernetes/ray")
    jobs = [document for document in documents if document["kind"] == "RayJob"]
    assert [job["metadata"]["name"] for job in jobs] == ["predict", "tune"][:level]

    plain = [document for document in documents if document["kind"] != "RayJob"]
    for number, document in enumerate(plain + [pod for job in jobs for pod in pods(job)]):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(document))
    holds(tmp_path, *sorted(tmp_path.glob("*.yaml")))

    for job in jobs:
        for pod in pods(job):
            assert pod["spec"]["securityContext"]["runAsNonRoot"]
            (container,) = pod["spec"]["containers"]
            assert container["image"].startswith("registry.example.org/")
            assert container["resources"]["limits"]["memory"]


def test_the_jobs_run_what_a_laptop_runs(render: Render) -> None:
    """The version of Ray is the library's, and the command a task of the project."""
    project = render(use_case="governance", level=2, compute="ray_on_kubernetes")
    library = (ROOT / "machinery/pyproject.toml").read_text()
    assert "rung-ops[ray-cluster]==" in (project / "pyproject.toml").read_text()
    tasks = (project / "ops/tasks.toml").read_text()

    for job in of_kind(built(project, "deploy/kubernetes/ray"), "RayJob"):
        version = job["spec"]["rayClusterSpec"]["rayVersion"]
        assert f"ray[data,tune]>={version.rpartition('.')[0]},<" in library
        text = job["spec"]["entrypoint"].split()
        assert f"\n{text[text.index('simple') + 1]}.cmd = " in tasks


def test_what_writes_the_prediction_log_gets_its_keys_and_nothing_else_does(render: Render) -> None:
    project = render(use_case="governance", level=2, compute="ray_on_kubernetes")
    text = (project / "deploy/kubernetes/ray/predict.yaml").read_text()

    _, head, *workers = pods(yaml.safe_load(text))

    (given,) = head["spec"]["containers"][0]["env"]
    assert (given["name"], given["valueFrom"]["secretKeyRef"]["optional"]) == ("LOG_KEYS", True)
    assert all("env" not in pod["spec"]["containers"][0] for pod in workers)
