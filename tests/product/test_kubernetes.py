"""The pods of the manifests run for real, under Podman; test_manifests.py holds them to schemas."""

import contextlib
import copy
import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Render
from tests.product import docker
from tests.product.conftest import commit, environment, run, tool
from tests.product.manifests import built, of_kind
from tests.product.podman import NoPodsError, Podman, give_to_pods, podman
from tests.product.processes import end_group, start_process
from tests.product.serving import Served, Service, eventually, free_port, released
from tests.product.test_image import BASE
from tests.product.test_service_rollout import events, until, with_traffic

__all__ = ["released"]  # a fixture
pytestmark = pytest.mark.slow

SECONDS = 120
LOGGED = """
import json, sys
import polars as pl
files = sys.argv[1:]
rows = pl.concat([pl.read_parquet(file).select("id") for file in files])
print(json.dumps(rows["id"].unique().to_list()))
"""


@pytest.fixture(scope="module")
def project(released: Served, render: Render, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A project with Kubernetes and releases: what the answer brings, laid into one that has them.

    Its model takes over within seconds of little traffic.
    """
    served = released.copy(tmp_path_factory.mktemp("cluster") / "project")
    rendered = render(compute="kubernetes", use_case="velocity", level=4)
    shutil.copytree(rendered / "deploy", served.folder / "deploy")
    run("git", "checkout", "--", ".dvc", cwd=served.folder)
    served.set("ops/rollout.toml", "shadow", share=0.0)
    served.set("ops/rollout.toml", "canary", steps=[0.5, 1.0], min_requests=50, min_seconds=1)
    commit(served.folder, "Go to Kubernetes")
    return served


@dataclass
class Images:
    """Builds the project's images by Docker, and hands them to Podman."""

    project: Served
    pods: Podman
    address: str  # of the Docker daemon

    def bring(self, name: str, dockerfile: str) -> None:
        image = f"localhost/late-flights-{name}:0.1.0"
        run(
            *("docker", "--host", self.address, "build", "--network", "host"),
            *("--file", dockerfile, "--tag", image, "."),
            cwd=self.project.folder,
        )
        self.pods.load(self.address, image)


@pytest.fixture(scope="module")
def images(project: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """A Podman that has the image of the service, and the share of the releases."""
    for needed in ("docker", "dockerd", "mmdebstrap", "podman", "runc", "kustomize"):
        tool(needed)
    try:
        with podman() as pods, docker.daemon() as address:
            # Podman asks a page by the image's curl; a kubelet asks from outside.
            docker.import_base(address, BASE, tmp_path_factory.mktemp("base"), "curl")
            made = Images(project, pods, address)
            made.bring("service", "service.Dockerfile")
            for claim, content in (("releases", project.folder / "releases"), ("logs", None)):
                directory = pods.volume(claim, content)
                shutil.rmtree(project.folder / claim, ignore_errors=True)
                (project.folder / claim).symlink_to(directory)
            yield made
    except (docker.NoDaemonError, NoPodsError) as reason:
        pytest.skip(f"{reason}; the manifests were only checked against schemas")


@pytest.fixture(scope="module")
def pods(images: Images) -> Podman:
    return images.pods


@contextlib.contextmanager
def playing(
    pods: Podman, project: Served, overlay: str, name: str, **changes: Any
) -> Iterator[Service]:
    """Run the Deployment of an overlay as it is, but for its port, and take it down."""
    manifests = built(project.folder, overlay)
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
        pods.give_volumes()  # it may have come to the first use of one only now
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
    """Ask for a page; 0 if nothing listens."""
    try:
        return service.get(path)[0]
    except OSError:
        return 0


def deploy(project: Served, environment_: str, name: str) -> None:
    """Bring a release to the share, whose files the pods' user owns."""
    extra = ["--without-gate", "made for a test"] if environment_ == "production" else []
    project.python("-m", "rung_ops", "deploy", environment_, project.names[name], *extra)
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
        result = pods.inspect(container_of("staging"))

        assert (status, answer["release"]) == (200, project.names["good"])
        assert answer["prediction"] == pytest.approx(expected, abs=1e-6)
        assert 'environment": "staging' in json.dumps(json.loads(service.get("/model")[1]))
        assert inside.split() == ["10001", "False", "True"]
        assert result["HostConfig"]["ReadonlyRootfs"] is True
        assert result["EffectiveCaps"] in (None, [])
        assert result["HostConfig"]["Memory"] == 2**30
        # No systemd runs Podman's timer here, so the test asks in its place, as often as it likes.
        pods.run("healthcheck", "run", container_of("staging"))
        process = int(pods.inspect(container_of("staging"))["State"]["Pid"])
        print(f"resident memory: {resident(process) / 1e6:.0f} MB")
        assert resident(process) < 384 * 2**20, "more than the pod asks for"

        # Its folder in the log is there from then on; Podman gives the volume away at each start.
        assert eventually(lambda: files_of_log(project, "staging"), SECONDS), "nothing was logged"
        os.kill(process, signal.SIGKILL)  # to `podman kill` it would not be a crash
        assert eventually(lambda: page(service, "/health/ready") == 200, SECONDS), "not restarted"
        assert service.predict(project.rows[0])[1]["prediction"] == answer["prediction"]
        assert pods.inspect(container_of("staging"))["RestartCount"] == 1

        pods.run("stop", "--time", "30", container_of("staging"))
        assert pods.inspect(container_of("staging"))["State"]["ExitCode"] == 0, "it drained"

    assert len(logged(project, "staging")) == 2
    assert page(service, "/health/live") == 0


def has_logged(service: Service, rows: int) -> bool:
    return service.metric("prediction_log_rows_total", outcome="written") >= rows


def files_of_log(project: Served, environment_: str) -> list[Path]:
    return list((project.folder / "logs" / environment_ / "predictions").rglob("*.parquet"))


def logged(project: Served, environment_: str) -> list[str]:
    read: list[str] = json.loads(
        project.python("-c", LOGGED, *files_of_log(project, environment_)).splitlines()[-1]
    )
    return read


def resident(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_two_pods_judge_one_release_and_both_follow(pods: Podman, project: Served) -> None:
    deploy(project, "production", "good")
    alike = project.names["alike"]
    with (
        playing(pods, project, "production", "first") as first,
        playing(pods, project, "production", "second") as second,
    ):
        deploy(project, "production", "alike")
        for service in (first, second):
            with_traffic(service, partial(eventually, partial(has_logged, service, 100), SECONDS))
        with_traffic(first, until(first, lambda now: now["serving"] == alike))
        assert eventually(
            lambda: (
                {each.predict(project.rows[0])[1]["release"] for each in (first, second)} == {alike}
            )
        )
        assert [event["event"] for event in events(project)] == ["serve", "canary", "promote"]

        project.python("-m", "rung_ops", "rollback", "production", "--reason", "to try it")
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


@contextlib.contextmanager
def repository(project: Served, folder: Path) -> Iterator[str]:
    """Serve the project's repository to the pods, who may push to it; give its address."""
    bare = folder / "project.git"
    run("git", "clone", "--quiet", "--bare", project.folder, bare, cwd=folder)
    port = free_port()
    command = [
        *("git", "daemon", "--export-all", "--enable=receive-pack", "--reuseaddr"),
        *(f"--base-path={folder}", f"--port={port}", "--listen=127.0.0.1", str(folder)),
    ]
    process = start_process(command, folder, folder / "git.log", environment())
    try:
        listed = ("git", "ls-remote", f"git://127.0.0.1:{port}/project.git")
        assert eventually(lambda: run(*listed, cwd=folder, expect=None).returncode == 0), (
            "git does not serve"
        )
        yield listed[-1]
    finally:
        end_group(process, signal.SIGTERM)


def scheduled(project: Served, name: str, **settings: str) -> list[dict[str, Any]]:
    """Make the Job of a CronJob, as the cluster does when its hour has come, and its settings."""
    manifests = built(project.folder, "scheduled")
    (cron,) = (each for each in of_kind(manifests, "CronJob") if each["metadata"]["name"] == name)
    (config,) = of_kind(manifests, "ConfigMap")
    config["data"] |= settings
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": cron["spec"]["jobTemplate"]["spec"],
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "pipeline"},
        "stringData": {"release-private-key": (project.folder / ".keys/release.pem").read_text()},
    }
    return [secret, config, job]


def ended(pods: Podman, name: str) -> tuple[int, str]:
    container = f"{name}-pod-pass"
    pods.run("wait", container)
    code = pods.inspect(container)["State"]["ExitCode"]
    return code, pods.run("logs", container)


def test_monitor_and_autopilot_run_in_their_pods(
    images: Images, project: Served, tmp_path: Path
) -> None:
    """After the pods of production have answered; a pass that has to train nothing."""
    pods = images.pods
    images.bring("ops", "deploy/kubernetes/ops.Dockerfile")
    registry = (project.folder / "logs").resolve() / "mlflow.db"
    shutil.copy(project.folder / "mlflow.db", registry)
    give_to_pods(registry.parent)
    with repository(project, tmp_path) as address:
        settings = {
            "GIT_REPOSITORY": address,
            "MLFLOW_TRACKING_URI": "sqlite:////shares/logs/mlflow.db",
        }
        reported = {}
        for name in ("monitor", "autopilot"):
            pods.play(name, *scheduled(project, name, **settings))
            reported[name] = ended(pods, name)
            pods.down(name)

        (tmp_path / "other").mkdir()
        run("git", "clone", "--quiet", address, "work", cwd=tmp_path / "other")
        other = tmp_path / "other/work"
        (other / "uv.lock").write_text((other / "uv.lock").read_text() + "# another\n")
        commit(other, "Lock other packages")
        run("git", "push", "--quiet", "origin", "HEAD:main", cwd=other)
        pods.play("monitor", *scheduled(project, "monitor", **settings))
        refused = ended(pods, "monitor")
        pods.down("monitor")

    code, text = reported["monitor"]
    assert code == 1, text  # the sample's flights are of another year
    assert (project.folder / "logs/production/monitor.prom").stat().st_uid == 10001
    report = project.folder / "logs/reports/monitor/monitor/report.html"
    assert report.stat().st_size > 5_000
    code, text = reported["autopilot"]
    assert code == 0, text
    assert "Pass " in text and " ended: " in text
    (record,) = (project.folder / "releases/autopilot/passes").glob("*.json")
    assert json.loads(record.read_bytes())["finished"]
    assert refused[0] == 2 and "built from another uv.lock" in refused[1]
