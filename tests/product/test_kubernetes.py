"""The pods of the manifests run for real, under Podman; the manifests hold against schemas.

There is no API server here, so what only a cluster does (scaling, disruption, network policies,
readiness, routes, schedules) is held against schemas and the project's own tests, and not run.
"""

import contextlib
import copy
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import GAMES, Render
from tests.product import docker
from tests.product.conftest import commit, run, tool
from tests.product.podman import NoPodsError, Podman, give_to_pods, podman
from tests.product.serving import Served, Service, eventually, free_port, released
from tests.product.test_image import BASE
from tests.product.test_service_rollout import events, until, with_traffic

__all__ = ["released"]  # a fixture
pytestmark = pytest.mark.slow

KUBERNETES = "1.32"
SECONDS = 120
OF_OPERATORS = {
    "gateway-api": ["HTTPRoute"],
    "prometheus-operator": ["ServiceMonitor", "PrometheusRule"],
}
MODELS = {"gateway-api": "2.0.0", "prometheus-operator": "6.0.0"}
LOGGED = """
import json, sys
import polars as pl
files = sys.argv[1:]
rows = pl.concat([pl.read_parquet(file).select("id") for file in files])
print(json.dumps(rows["id"].unique().to_list()))
"""
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
def project(released: Served, render: Render, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A project with Kubernetes and releases: what the answer brings, laid into one that has them.

    Its model takes over within seconds of little traffic.
    """
    served = released.copy(tmp_path_factory.mktemp("cluster") / "project")
    rendered = render(compute="kubernetes", use_case="velocity", level=4)
    for folder in ("deploy", "ops/kubernetes"):
        shutil.copytree(rendered / folder, served.folder / folder)
    run("git", "checkout", "--", ".dvc", cwd=served.folder)
    served.set("rollout.toml", "shadow", share=0.0)
    served.set("rollout.toml", "canary", steps=[0.5, 1.0], min_requests=50, min_seconds=1)
    commit(served.folder, "Go to Kubernetes")
    return served


def built(project: Served, overlay: str) -> list[dict[str, Any]]:
    """Build an overlay as a person would."""
    done = subprocess.run(
        [tool("kustomize"), "build", project.folder / "deploy/kubernetes/overlays" / overlay],
        capture_output=True,
        text=True,
        check=True,
    )
    return list(yaml.safe_load_all(done.stdout))


def of_kind(manifests: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [each for each in manifests if each["kind"] in kinds]


@pytest.fixture(scope="module")
def pods(project: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """A Podman that has the image of the service, and the share of the releases."""
    for needed in ("docker", "dockerd", "mmdebstrap", "podman", "runc", "kustomize"):
        tool(needed)
    image = "localhost/late-flights-service:0.1.0"
    try:
        with podman() as made:
            with docker.daemon() as address:
                # Podman asks a page by the image's curl; a kubelet asks from outside.
                docker.import_base(address, BASE, tmp_path_factory.mktemp("base"), "curl")
                run(
                    *("docker", "--host", address, "build", "--network", "host"),
                    *("--file", "service.Dockerfile", "--tag", image, "."),
                    cwd=project.folder,
                )
                made.load(address, image)
            for claim, content in (("releases", project.folder / "releases"), ("logs", None)):
                place = made.volume(claim, content)
                shutil.rmtree(project.folder / claim, ignore_errors=True)
                (project.folder / claim).symlink_to(place)
            yield made
    except (docker.NoDaemonError, NoPodsError) as reason:
        pytest.skip(f"{reason}; the manifests were held against schemas only")


@contextlib.contextmanager
def playing(
    pods: Podman, project: Served, overlay: str, name: str, **changes: Any
) -> Iterator[Service]:
    """Run the Deployment of an overlay as it is, but for its port, and take it down.

    Args:
        pods: what runs it.
        project: whose.
        overlay: its name.
        name: of the pod; several run beside each other.
        changes: keys of the container that are others.
    """
    manifests = built(project, overlay)
    (deployment,) = copy.deepcopy(of_kind(manifests, "Deployment"))
    port = free_port()
    deployment["metadata"]["name"] = name
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["ports"][0]["containerPort"] = port
    container |= changes
    for variable in container["env"]:
        if variable["name"] == "SERVICE_PORT":
            variable["value"] = str(port)
    pods.play(name, deployment, *of_kind(manifests, "PersistentVolumeClaim"))
    service = Service(project, port, None, pods.log)  # type: ignore[arg-type]
    try:
        assert eventually(lambda: page(service, "/health/ready") == 200, SECONDS), logs(pods, name)
        yield service
    finally:
        pods.log.write_text(logs(pods, name))
        print(pods.log.read_text())
        pods.down(name)


def container_of(name: str) -> str:
    return f"{name}-pod-prediction"


def logs(pods: Podman, name: str) -> str:
    return pods.run("logs", container_of(name), expect=None)


def page(service: Service, path: str) -> int:
    """Ask for a page; 0 where nobody listens."""
    try:
        return service.get(path)[0]
    except OSError:
        return 0


def deploy(project: Served, environment_: str, name: str) -> None:
    """Bring a release to the share, whose files the pods' user owns."""
    extra = ["--without-gate", "made for a test"] if environment_ == "production" else []
    project.python("-m", "ops.release.deploy", environment_, project.names[name], *extra)
    give_to_pods((project.folder / "releases").resolve())


def test_the_service_of_staging_runs_in_its_pod(pods: Podman, project: Served) -> None:
    deploy(project, "staging", "good")
    with playing(pods, project, "staging", "staging") as service:
        status, answer = service.predict(project.rows[0])
        expected = project.expected[project.names["good"]][0]
        inside = pods.run(
            *("exec", container_of("staging"), "python", "-c"),
            "import os; print(os.getuid(), os.access('/app', os.W_OK), os.access('/tmp', os.W_OK))",
        )
        found = pods.inspect(container_of("staging"))

        assert (status, answer["release"]) == (200, project.names["good"])
        assert answer["prediction"] == pytest.approx(expected, abs=1e-6)
        assert 'environment": "staging' in json.dumps(json.loads(service.get("/model")[1]))
        assert inside.split() == ["10001", "False", "True"]
        assert found["HostConfig"]["ReadonlyRootfs"] is True
        assert found["EffectiveCaps"] in (None, [])
        assert found["HostConfig"]["Memory"] == 2**30
        # No systemd runs Podman's timer here, so the test asks in its place, as often as it likes.
        pods.run("healthcheck", "run", container_of("staging"))
        process = int(pods.inspect(container_of("staging"))["State"]["Pid"])
        print(f"resident memory: {resident(process) / 1e6:.0f} MB")
        assert resident(process) < 384 * 2**20, "more than the pod asks for"

        os.kill(process, signal.SIGKILL)  # to `podman kill` it would not be a crash
        assert eventually(lambda: page(service, "/health/ready") == 200, SECONDS), "not restarted"
        assert service.predict(project.rows[0])[1]["prediction"] == answer["prediction"]
        assert pods.inspect(container_of("staging"))["RestartCount"] == 1

        pods.run("stop", "--time", "30", container_of("staging"))
        assert pods.inspect(container_of("staging"))["State"]["ExitCode"] == 0, "it drained"

    assert 1 <= len(logged(project, "staging")) <= 2, "a second of it may be gone with the kill"
    assert page(service, "/health/live") == 0


def files_of_log(project: Served, environment_: str) -> list[Path]:
    return list((project.folder / "logs" / environment_ / "predictions").rglob("*.parquet"))


def logged(project: Served, environment_: str) -> list[str]:
    """Read the ids in the prediction log, each once."""
    read: list[str] = json.loads(
        project.python("-c", LOGGED, *files_of_log(project, environment_)).splitlines()[-1]
    )
    return read


def resident(process: int) -> int:
    """Read the memory that a process has, in bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_probe_that_asks_for_a_page_that_is_not_there_is_noticed(
    pods: Podman, project: Served
) -> None:
    deploy(project, "staging", "good")
    wrong = {"httpGet": {"path": "/healthy", "port": "http"}, "periodSeconds": 600}
    probes = {"startupProbe": None, "livenessProbe": wrong}
    with playing(pods, project, "staging", "wrong", **probes):
        pods.run("healthcheck", "run", container_of("wrong"), expect=1)


def test_two_pods_judge_one_release_and_both_follow(pods: Podman, project: Served) -> None:
    deploy(project, "production", "good")
    alike = project.names["alike"]
    with (
        playing(pods, project, "production", "first") as first,
        playing(pods, project, "production", "second") as second,
    ):
        deploy(project, "production", "alike")
        for service in (first, second):
            with_traffic(service, lambda: time.sleep(3))
        with_traffic(first, until(first, lambda now: now["serving"] == alike))
        assert eventually(
            lambda: (
                {each.predict(project.rows[0])[1]["release"] for each in (first, second)} == {alike}
            )
        )
        assert [event["event"] for event in events(project)] == ["serve", "canary", "promote"]

        project.python("-m", "ops.release.rollback", "production", "--reason", "to try it")
        give_to_pods((project.folder / "releases").resolve())
        assert eventually(
            lambda: (
                {each.predict(project.rows[0])[1]["release"] for each in (first, second)}
                == {project.names["good"]}
            )
        )

    generations = [event["detail"]["generation"] for event in events(project)]
    assert generations == list(range(1, len(generations) + 1)), "one change after the other"
    writers = {path.name.split(".")[0] for path in files_of_log(project, "production")}
    assert len(writers) == 2
    assert len(logged(project, "production")) > 200


@pytest.mark.parametrize("use_case", GAMES)
def test_kubernetes_check_finds_what_a_schema_forbids(
    render: Render, tmp_path: Path, use_case: str
) -> None:
    tool("kustomize")
    folder = tmp_path / "project"
    shutil.copytree(render(compute="kubernetes", use_case=use_case, level=4), folder)
    run("uv", "venv", "--quiet", "venv", cwd=tmp_path)
    run(
        *("uv", "pip", "install", "--quiet", "--python", "venv", "kubernetes-validate"),
        cwd=tmp_path,
    )
    for overlay in ("staging", "production", "scheduled"):
        built_ = tmp_path / f"{overlay}.yaml"
        built_.write_text(
            run(
                "kustomize", "build", folder / "deploy/kubernetes/overlays" / overlay, cwd=folder
            ).stdout
        )
        command = (tmp_path / "venv/bin/kubernetes-validate", "-k", KUBERNETES, "--strict", built_)
        run(*command, cwd=folder)

        built_.write_text(built_.read_text().replace("securityContext:", "securityContexts:", 1))
        assert "ERROR" in run(*command, cwd=folder, expect=1 if overlay else 0).stdout


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
    project: Served, models: Path, package: str
) -> None:
    overlay = project.folder / "deploy/kubernetes/overlays/production/kustomization.yaml"
    text = overlay.read_text()
    overlay.write_text(text.replace("# - ../../components/canary", "- ../../components/canary"))
    try:
        everything = built(project, "production") + built(project, "scheduled")
        found = of_kind(everything, *OF_OPERATORS[package])
    finally:
        overlay.write_text(text)
    assert {each["kind"] for each in found} == set(OF_OPERATORS[package])

    def validated(manifests: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tool("node"), "validate.mjs", package],
            cwd=models,
            input=json.dumps(manifests),
            capture_output=True,
            text=True,
            check=False,
        )

    done = validated(found)
    assert done.returncode == 0, done.stdout + done.stderr
    for wrong in copy.deepcopy(found):
        wrong["spec"] = {"endpoints": "none", "rules": "none", "groups": "none"}
        assert validated([wrong]).returncode == 1, wrong["kind"]


def test_prometheus_reads_the_rule_of_the_cluster(project: Served, tmp_path: Path) -> None:
    (rule,) = of_kind(built(project, "scheduled"), "PrometheusRule")
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    series = 'up{job="service", environment="production", pod="a"}'
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump(
            {
                "rule_files": ["rules.yml"],
                "tests": [
                    {
                        "interval": "1m",
                        "input_series": [{"series": series, "values": "1x10 _x20"}],
                        "alert_rule_test": [
                            {"eval_time": "9m", "alertname": "ServiceMissing", "exp_alerts": []},
                            {
                                "eval_time": "25m",
                                "alertname": "ServiceMissing",
                                "exp_alerts": [
                                    {
                                        "exp_labels": {
                                            "severity": "critical",
                                            "environment": "production",
                                        }
                                    }
                                ],
                            },
                        ],
                    }
                ],
            }
        )
    )
    text = (tmp_path / "test.yml").read_text()
    annotations = rule["spec"]["groups"][0]["rules"][0]["annotations"]
    filled = {
        key: value.replace("{{ $labels.environment }}", "production")
        for key, value in annotations.items()
    }
    spec = yaml.safe_load(text)
    spec["tests"][0]["alert_rule_test"][1]["exp_alerts"][0]["exp_annotations"] = filled
    (tmp_path / "test.yml").write_text(yaml.safe_dump(spec))

    run(tool("promtool"), "test", "rules", tmp_path / "test.yml", cwd=tmp_path)
