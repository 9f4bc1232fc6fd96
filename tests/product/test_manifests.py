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

from tests.conftest import Render
from tests.product.conftest import run, tool
from tests.product.manifests import built, of_kind

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
    """The files of a project, to be changed."""
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
