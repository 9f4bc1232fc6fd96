"""The manifests suit the service: its user, its pages, its variables, and how it ends."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import rung_ops
from rung_ops.errors import UsageError
from rung_ops.kubernetes import manifests
from rung_ops.project import current, paths, service_settings
from rung_ops.serving import pages, serve, server
from rung_ops.serving.hooks import NO_HOOKS

FOLDER = current().root / "deploy/kubernetes"
LOG = 5.0  # seconds that the prediction log takes at most to write what waits, at the end
KUSTOMIZE = ("Kustomization", "Component")


def documents(folder: Path) -> list[dict[str, Any]]:
    """Read the manifests that lie in a folder, without Kustomize."""
    result = [
        document
        for path in sorted(folder.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    return [each for each in result if each["kind"] not in KUSTOMIZE]


def one(kind: str, name: str | None = None) -> dict[str, Any]:
    """Find a manifest of the service and its base."""
    result = documents(FOLDER / "service") + documents(FOLDER / "base")
    (only,) = (
        each for each in result if each["kind"] == kind and name in (None, each["metadata"]["name"])
    )
    return only


def pod() -> dict[str, Any]:
    """Give the template of the service's pods."""
    template: dict[str, Any] = one("Deployment")["spec"]["template"]
    return template


def container() -> dict[str, Any]:
    """Give the one container of such a pod."""
    (only,) = pod()["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def overlay(name: str) -> dict[str, Any]:
    """Read the kustomization.yaml of an overlay."""
    text = (FOLDER / "overlays" / name / "kustomization.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def test_the_container_may_do_no_more_than_serve() -> None:
    of_pod, of_container = pod()["spec"]["securityContext"], container()["securityContext"]

    assert of_pod["runAsNonRoot"] and of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container["capabilities"] == {"drop": ["ALL"]}
    assert of_container["readOnlyRootFilesystem"]
    assert not of_container["allowPrivilegeEscalation"]
    assert pod()["spec"]["automountServiceAccountToken"] is False
    assert set(container()["resources"]) == {"requests", "limits"}


def test_it_runs_as_the_user_of_the_image_and_mounts_where_the_image_looks() -> None:
    image = (current().root / "service.Dockerfile").read_text(encoding="utf-8")
    (user,) = re.findall(r"useradd --uid (\d+)", image)
    workdir = re.findall(r"^WORKDIR (\S+)", image, re.MULTILINE)[-1]
    mounts = {each["mountPath"] for each in container()["volumeMounts"]}

    assert pod()["spec"]["securityContext"]["runAsUser"] == int(user)
    assert mounts == {f"{workdir}/releases", f"{workdir}/logs", "/tmp"}
    assert {each["name"] for each in container()["volumeMounts"]} == {
        each["name"] for each in pod()["spec"]["volumes"]
    }


def test_every_claim_that_a_pod_mounts_is_there_and_shared() -> None:
    wanted = {
        each["persistentVolumeClaim"]["claimName"]
        for each in pod()["spec"]["volumes"]
        if "persistentVolumeClaim" in each
    }

    for name in wanted:
        assert one("PersistentVolumeClaim", name)["spec"]["accessModes"] == ["ReadWriteMany"]


def test_probes_ask_pages_of_the_service_and_only_readiness_asks_for_a_release() -> None:
    """A bad or missing release does not restart the process."""
    probes = {name: each["httpGet"] for name, each in container().items() if "Probe" in name}
    service: Any = SimpleNamespace(hooks=NO_HOOKS)
    there = {getattr(each, "path", None) for each in pages.application(service, []).routes}

    assert {name: each["path"] for name, each in probes.items()} == {
        "startupProbe": "/health/live",
        "readinessProbe": "/health/ready",
        "livenessProbe": "/health/live",
    }
    assert {each["path"] for each in probes.values()} <= there
    assert {each["port"] for each in probes.values()} == {container()["ports"][0]["name"]}


def test_the_port_is_the_one_that_the_process_listens_on() -> None:
    reported = {each["name"]: each.get("value") for each in container()["env"]}

    assert reported[serve.PORT_VARIABLE] == str(container()["ports"][0]["containerPort"])
    assert one("Service")["spec"]["ports"][0]["targetPort"] == container()["ports"][0]["name"]


def test_no_variable_of_kubernetes_takes_the_place_of_one_of_ours() -> None:
    """Of a Service named `service` it would make SERVICE_PORT=tcp://..."""
    assert pod()["spec"]["enableServiceLinks"] is False
    assert "service" not in {each["metadata"]["name"] for each in documents(FOLDER / "service")}


def test_every_variable_is_one_that_the_code_reads() -> None:
    library = Path(rung_ops.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in library.rglob("*.py"))
    named = {each["name"] for each in container()["env"]}
    for patch in documents(FOLDER / "components"):
        for each in patch.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            named |= {variable["name"] for variable in each.get("env", [])}

    assert len(named) >= 2
    assert {name for name in named if f'"{name}"' not in code} == set()


def test_a_pod_has_time_to_end() -> None:
    (_, seconds) = container()["lifecycle"]["preStop"]["exec"]["command"]
    needed = float(seconds) + service_settings.limits().drain_seconds + server.FINISH + LOG

    assert needed < pod()["spec"]["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("kind", ["Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"])
def test_what_chooses_pods_chooses_those_of_the_service(kind: str) -> None:
    spec = one(kind, "prediction")["spec"]
    selector = spec.get("podSelector") or spec["selector"]
    chosen = selector.get("matchLabels", selector)

    assert chosen and chosen.items() <= pod()["metadata"]["labels"].items()


def test_a_node_can_be_emptied_and_somebody_still_answers() -> None:
    budget, scaler = one("PodDisruptionBudget")["spec"], one("HorizontalPodAutoscaler")["spec"]

    assert budget["maxUnavailable"] == 1
    assert scaler["minReplicas"] >= 2
    assert scaler["scaleTargetRef"]["name"] == one("Deployment")["metadata"]["name"]
    assert "replicas" not in one("Deployment")["spec"], "the autoscaler decides"


def test_the_network_allows_callers_in_and_name_lookups_out() -> None:
    policy = one("NetworkPolicy", "prediction")["spec"]
    (inward,), (outward,) = policy["ingress"], policy["egress"]

    assert [each["port"] for each in inward["ports"]] == [container()["ports"][0]["name"]]
    assert all("namespaceSelector" in each for each in inward["from"])
    assert {each["port"] for each in outward["ports"]} == {53}
    assert one("NetworkPolicy", "nothing")["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


@pytest.mark.parametrize("name", paths.ENVIRONMENTS)
def test_an_overlay_serves_the_environment_it_is_named_after(name: str) -> None:
    """The label is what SERVICE_ENVIRONMENT is read from."""
    (labels,) = overlay(name)["labels"]
    (variable,) = (each for each in container()["env"] if each["name"] == "SERVICE_ENVIRONMENT")

    assert labels == {"pairs": {"environment": name}, "includeTemplates": True}
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['environment']"


@pytest.mark.parametrize("name", manifests.overlays())
def test_an_overlay_names_an_image_by_a_tag_that_stays(name: str) -> None:
    for image in overlay(name)["images"]:
        assert image["newTag"] not in ("", "latest")
    assert not re.search(r"namespace: (default)?$", str(overlay(name).get("namespace")))


def test_prometheus_calls_the_job_as_the_alert_rules_do() -> None:
    scraping = yaml.safe_load(
        (current().root / "ops/prometheus/prometheus.yml").read_text(encoding="utf-8")
    )
    (monitor,) = (
        each for each in documents(FOLDER / "components") if each["kind"] == "ServiceMonitor"
    )
    labels = one("Service")["metadata"]["labels"]

    assert labels[monitor["spec"]["jobLabel"]] == scraping["scrape_configs"][0]["job_name"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["spec"]["endpoints"][0]["port"] == one("Service")["spec"]["ports"][0]["name"]
    assert "environment" in monitor["spec"]["podTargetLabels"]


def test_the_weights_of_a_canary_make_a_whole() -> None:
    (route,) = (each for each in documents(FOLDER / "components") if each["kind"] == "HTTPRoute")
    (rule,) = route["spec"]["rules"]
    reached = {match["path"]["value"] for match in rule["matches"]}

    assert sum(each["weight"] for each in rule["backendRefs"]) == 100
    assert "/predict" in reached
    assert not reached & {"/", "/metrics", "/stop", "/resume", "/override"}


def test_no_secret_is_in_a_file() -> None:
    assert [each for each in documents(FOLDER) if each["kind"] == "Secret"] == []


def test_a_field_that_kubernetes_does_not_know_is_a_fault() -> None:
    wrong = one("Service")
    wrong["spec"]["ports"][0]["targetport"] = 8000
    operator = {"apiVersion": "example.org/v1", "kind": "Other", "metadata": {"name": "other"}}

    verdict = manifests.check([one("Deployment"), wrong, operator])

    assert verdict.valid == ["Deployment prediction"]
    assert len(verdict.faults) == 1 and "targetport" in verdict.faults[0]
    assert verdict.unknown == ["Other"]


def test_without_kustomize_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert manifests.check_overlays([]) == 2
    assert "needs `kustomize` or `kubectl` on PATH" in capsys.readouterr().err


def test_an_unknown_overlay_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no overlay prod; there are production"):
        manifests.build("prod")


@pytest.mark.skipif(
    not (shutil.which("kustomize") or shutil.which("kubectl")),
    reason="neither kustomize nor kubectl is on this machine",
)
def test_every_overlay_can_be_built_and_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert manifests.check_overlays([]) == 0
    output = capsys.readouterr().out
    assert all(f"{name}: " in output for name in manifests.overlays())
