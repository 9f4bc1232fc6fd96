"""The manifests are what kustomize builds, and hold against the schemas of all who read them.

There is no API server here, so what only a cluster does (scaling, disruption, network policies,
readiness, routes, schedules) is checked against schemas and by the project's tests, and not run.
"""

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, Render
from tests.product.conftest import run, tool
from tests.product.manifests import built, holds, of_kind

pytestmark = pytest.mark.slow

OF_OPERATORS = {
    "gateway-api": ["HTTPRoute"],
    "prometheus-operator": ["ServiceMonitor", "PrometheusRule"],
}
MODELS = {"gateway-api": "2.0.0", "prometheus-operator": "6.0.0"}
VALIDATE = """
import { readFileSync } from "node:fs";
const manifests = JSON.parse(readFileSync(0));
for (const manifest of manifests) {
  const path = manifest.apiVersion.replace(/[/]([^/]+)$/, "/$1");
  const module = await import(`@kubernetes-models/${process.argv[2]}/${path}/${manifest.kind}`);
  try { new module[manifest.kind](manifest).validate(); }
  catch (error) { console.log(`${manifest.kind}: ${error.message}`); process.exitCode = 1; }
}
"""


@pytest.fixture(scope="module")
def project(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manifests") / "project"
    return shutil.copytree(render(compute="kubernetes", use_case="velocity", level=4), folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schemas of Gateway API and Prometheus operator, as they come in npm packages."""
    folder = tmp_path_factory.mktemp("models")
    done = run(
        *(tool("npm"), "install", "--silent", "--no-fund", "--no-audit"),
        *(f"@kubernetes-models/{name}@{version}" for name, version in MODELS.items()),
        cwd=folder,
        expect=None,
    )
    if done.returncode != 0:
        pytest.skip(f"npm brings no schemas here: {done.stdout[-300:]}")
    (folder / "validate.mjs").write_text(VALIDATE)
    return folder


@pytest.mark.parametrize("package", OF_OPERATORS)
def test_what_operators_bring_holds_against_their_schemas(
    project: Path, models: Path, package: str
) -> None:
    overlay = project / "deploy/kubernetes/overlays/production/kustomization.yaml"
    text = overlay.read_text()
    overlay.write_text(text.replace("# - ../../components/canary", "- ../../components/canary"))
    try:
        everything = built(project, "production") + built(project, "scheduled")
        result = of_kind(everything, *OF_OPERATORS[package])
    finally:
        overlay.write_text(text)
    assert {each["kind"] for each in result} == set(OF_OPERATORS[package])

    def validated(manifests: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tool("node"), "validate.mjs", package],
            cwd=models,
            input=json.dumps(manifests),
            capture_output=True,
            text=True,
            check=False,
        )

    done = validated(result)
    assert done.returncode == 0, done.stdout + done.stderr
    for wrong in copy.deepcopy(result):
        wrong["spec"] = {"endpoints": "none", "rules": "none", "groups": "none"}
        assert validated([wrong]).returncode == 1, wrong["kind"]


@pytest.mark.parametrize("overlay", ["staging", "production", "scheduled"])
def test_with_a_bucket_no_volume_is_shared_by_nodes(
    project: Path, tmp_path: Path, overlay: str
) -> None:
    copied = shutil.copytree(project, tmp_path / "project")
    path = copied / f"deploy/kubernetes/overlays/{overlay}/kustomization.yaml"
    text = path.read_text()
    for line in (
        "- ../../components/bucket",
        "- bucket/claim.yaml",
        "- path: bucket/pod.yaml",
        "  target: {kind: CronJob}",
    ):
        text = text.replace(f"# {line}", line)
    path.write_text(text.replace("# - ../../components/canary", "- ../../components/canary"))

    manifests = built(copied, overlay)

    of_operators = [kind for kinds in OF_OPERATORS.values() for kind in kinds]
    for number, each in enumerate(manifests):
        if each["kind"] not in of_operators:
            (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(each))
    holds(tmp_path, *sorted(tmp_path.glob("*.yaml")))
    claims = of_kind(manifests, "PersistentVolumeClaim")
    modes = [each["spec"]["accessModes"] for each in claims]
    assert modes == [["ReadWriteOnce"]] * (overlay == "scheduled")
    found = [each["spec"]["template"] for each in of_kind(manifests, "Deployment")]
    found += [
        each["spec"]["jobTemplate"]["spec"]["template"] for each in of_kind(manifests, "CronJob")
    ]
    assert len(found) == {"staging": 1, "production": 2, "scheduled": 2}[overlay]
    for pod in (template["spec"] for template in found):
        (container,) = pod["containers"]
        assert {"secretRef": {"name": "bucket"}} in container["envFrom"]
        variables = {variable["name"]: variable for variable in container["env"]}
        assert "RELEASES" not in variables
        key = {"name": "bucket", "key": "LOGS"}
        assert variables["LOGS"] == {"name": "LOGS", "valueFrom": {"secretKeyRef": key}}
        mounted = {each["name"] for each in container["volumeMounts"]}
        volumes = {each["name"]: each for each in pod["volumes"]}
        assert mounted == volumes.keys()
        used = [each.get("persistentVolumeClaim", {}).get("claimName") for each in volumes.values()]
        assert set(used) == ({None, "passes"} if overlay == "scheduled" else {None})
        assert all(len(each) == 2 for each in volumes.values()), "one source each"


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Lift the pods out of a RayJob, the operator's own kind, which has no packaged schema."""
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
