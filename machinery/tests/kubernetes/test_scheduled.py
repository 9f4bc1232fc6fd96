"""A scheduled run goes on from what was committed, in the packages that its commit asks for."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from machinery.tests.conftest import Capture, Patch
from machinery.tests.kubernetes.test_manifests import FOLDER
from machinery.tests.projects import moved
from rung_ops.autopilot import commits
from rung_ops.kubernetes import manifests, scheduled

IMAGE = FOLDER / "ops.Dockerfile"


def manifest(name: str) -> list[dict[str, Any]]:
    text = (FOLDER / "overlays/scheduled" / name).read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


def common() -> dict[str, Any]:
    """Give the pod that all CronJobs have in common."""
    (patch,) = manifest("pod.yaml")
    spec: dict[str, Any] = patch["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def test_no_container_may_do_more_than_it_needs() -> None:
    of_pod = common()["securityContext"]
    every = [*common()["initContainers"], *common()["containers"]]

    assert of_pod["runAsNonRoot"] and of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert len(every) == 2
    for each in every:
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    for job in manifest("schedule.yaml"):
        (only,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert only["name"] == common()["containers"][0]["name"], "or the patch makes another one"
        assert set(only["resources"]) == {"requests", "limits"}


def test_every_job_ends_and_is_not_tried_again_at_once() -> None:
    (patch,) = manifest("pod.yaml")
    jobs = {each["metadata"]["name"]: each["spec"] for each in manifest("schedule.yaml")}

    assert set(jobs) == set(scheduled.VERBS)
    assert jobs["autopilot"]["concurrencyPolicy"] == "Forbid"
    assert patch["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    for name, spec in jobs.items():
        (only,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert only["command"] == ["rung-ops", "kubernetes", "scheduled", name]
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0


def test_the_pods_find_what_the_image_and_the_service_have() -> None:
    image = IMAGE.read_text(encoding="utf-8")
    service = yaml.safe_load((FOLDER / "service/deployment.yaml").read_text(encoding="utf-8"))
    of_service = service["spec"]["template"]["spec"]["securityContext"]

    assert common()["securityContext"] == of_service, "they change each other's files"
    assert f"useradd --uid {of_service['runAsUser']}" in image
    assert f"WORKDIR {common()['containers'][0]['workingDir']}" in image
    assert "COPY uv.lock /app/uv.lock" in image, scheduled.LOCK


def test_an_image_of_other_packages_is_refused(
    monkeypatch: Patch, tmp_path: Path, capsys: Capture
) -> None:
    moved(monkeypatch, scheduled, root=tmp_path)
    (tmp_path / "uv.lock").write_text("new")
    (tmp_path / "built.lock").write_text("old")
    monkeypatch.setenv(scheduled.LOCK, str(tmp_path / "built.lock"))

    assert scheduled.main(["monitor"]) == 2
    assert "built from another uv.lock" in capsys.readouterr().err

    (tmp_path / "built.lock").write_text("new")
    scheduled.same_packages()


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_it_goes_on_from_what_earlier_passes_committed(monkeypatch: Patch, tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "--quiet", "--initial-branch=main")
    git(origin, "commit", "--quiet", "--allow-empty", "--message=Start")
    git(origin, "switch", "--quiet", "--create=autopilot")
    (origin / "rows").write_text("of the last pass")
    git(origin, "add", "rows")
    git(origin, "commit", "--quiet", "--message=Rows")
    git(origin, "switch", "--quiet", "main")
    git(origin, "commit", "--quiet", "--allow-empty", "--message=Of a person")
    git(tmp_path, "clone", "--quiet", "--branch=main", str(origin), str(clone))
    moved(monkeypatch, commits, root=clone)

    monkeypatch.setenv("AUTOPILOT_PUSH", "origin nobody")
    scheduled.merge_earlier_passes()
    assert not (clone / "rows").exists()

    monkeypatch.setenv("AUTOPILOT_PUSH", "origin autopilot")
    scheduled.merge_earlier_passes()
    assert (clone / "rows").read_text() == "of the last pass"


def test_the_alert_rules_are_those_of_prometheus(monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setattr(manifests, "operator_rules_file", lambda: tmp_path / "rules.yaml")
    assert manifests.write_alerts(["--check"]) == 1

    assert manifests.write_alerts([]) == 0

    rule = yaml.safe_load((tmp_path / "rules.yaml").read_text(encoding="utf-8"))
    named = {each["alert"] for group in rule["spec"]["groups"] for each in group["rules"]}
    assert {"ServiceDown", "FeatureDrifted"} <= named
    assert manifests.write_alerts(["--check"]) == 0


def test_settings_are_not_secrets() -> None:
    text = (FOLDER / "overlays/scheduled/settings.env").read_text(encoding="utf-8")

    assert "TOKEN" not in text and "KEY" not in text
