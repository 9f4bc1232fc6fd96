"""What is listed, who is logged in, and what keeps an image from an environment; no Docker is asked."""

import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machinery.tests.conftest import Capture, Patch
from rung_ops.errors import OpsError, UsageError
from rung_ops.kubernetes import manifests
from rung_ops.project import current
from rung_ops.service_image import promote, push

DIGEST = f"sha256:{'a' * 64}"
REFERENCE = f"registry.example.org:5000/team/service@{DIGEST}"
DOCKER = """#!/bin/sh
echo "$@" >> {folder}/asked
cp "$DOCKER_CONFIG/config.json" {folder}/used.json 2> /dev/null
case "$*" in
  {fails}) echo "it is away" >&2; exit 1 ;;
  push*) echo "production: digest: {digest} size: 2410" ;;
esac
"""
Docker = Callable[..., Path]


@pytest.fixture
def docker(monkeypatch: Patch, tmp_path: Path) -> Docker:
    """Put a scripted docker on PATH; `fails` is a pattern of calls that do."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def made(fails: str = "none", digest: str = DIGEST) -> Path:
        program = tmp_path / "docker"
        program.write_text(DOCKER.format(folder=tmp_path, fails=fails, digest=digest))
        program.chmod(0o755)
        return tmp_path

    return made


@pytest.fixture
def elsewhere(monkeypatch: Patch, tmp_path: Path) -> None:
    """Promote in a repository without Kubernetes."""
    monkeypatch.setattr(promote, "current", lambda: type("Project", (), {"repository": tmp_path}))


def part(name: str, version: str, ref: str) -> dict[str, Any]:
    return {"name": name, "version": version, "bom-ref": ref}


def test_the_bill_has_what_is_inside_and_nothing_else_of_the_lock() -> None:
    lock = {
        "bomFormat": "CycloneDX",
        "components": [part("a", "1", "a-1"), part("a", "2", "a-2"), part("b", "1", "b-1")],
        "dependencies": [{"ref": "a-2", "dependsOn": ["b-1"]}, {"ref": "b-1"}, {"ref": "a-1"}],
    }
    debian = {"distro": "debian-13", "debian": [["libstdc++6", "14.2.0-19", "amd64"]]}
    inside = {"python": "3.13.5", "packages": [["a", "2"]]} | debian

    bill = push.materials(inside, lock)

    assert [(each["name"], each["version"]) for each in bill["components"]] == [
        ("a", "2"),
        ("python", "3.13.5"),
        ("libstdc++6", "14.2.0-19"),
    ]
    purl = "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=debian-13"
    assert bill["components"][-1]["purl"] == purl
    assert bill["dependencies"] == [{"ref": "a-2", "dependsOn": []}]
    assert bill["bomFormat"] == "CycloneDX"
    with pytest.raises(OpsError, match="uv.lock does not name: c==9"):
        push.materials(inside | {"packages": [["c", "9"]]}, lock)


def test_a_password_is_for_its_registry_alone_and_is_gone_after_a_failure(
    docker: Docker, elsewhere: None, monkeypatch: Patch, tmp_path: Path
) -> None:
    own = tmp_path / "config.json"
    own.write_text('{"auths": {"other": {}}, "credsStore": "pass", "proxies": {}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    before = own.read_text()
    for name, value in zip(push.LOGIN, ("ada", "secret"), strict=True):
        monkeypatch.setenv(name, value)
    folder = docker(fails="push*")

    assert promote.main(["production", "--image", REFERENCE]) == 1

    assert "secret" not in (folder / "asked").read_text()
    auth = base64.b64encode(b"ada:secret").decode()
    assert json.loads((folder / "used.json").read_text()) == {
        "auths": {"registry.example.org:5000": {"auth": auth}},
        "proxies": {},
    }
    assert own.read_text() == before and os.environ["DOCKER_CONFIG"] == str(tmp_path)


@pytest.mark.parametrize(
    ("settings", "image", "message"),
    [
        ({"fails": "push*"}, REFERENCE, "`docker push` failed: it is away"),
        (
            {"digest": "sha256:other"},
            REFERENCE,
            f"not by the digest {DIGEST}",
        ),
        *(
            ({}, image, "does not name an image by its digest")
            for image in (
                "registry.example.org/service:latest",
                f"registry.example.org/service:latest@{DIGEST}",
                f"team/service@{DIGEST}",
            )
        ),
    ],
)
def test_what_is_not_promoted_is_explained(
    docker: Docker,
    elsewhere: None,
    capsys: Capture,
    settings: dict[str, str],
    image: str,
    message: str,
) -> None:
    folder = docker(**settings)

    assert promote.main(["production", "--image", image]) == 1
    printed = capsys.readouterr()
    assert message in printed.err and not printed.out
    asked = folder / "asked"
    assert not asked.is_file() or "service:production\n" not in asked.read_text(), "it had it"


@pytest.fixture
def committed(monkeypatch: Patch, tmp_path: Path) -> Path:
    """Push from a repository with one commit; the image that it builds is empty."""
    root = tmp_path / "project"
    root.mkdir()
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for words in (("init", "-q"), (*who, "commit", "-q", "--allow-empty", "-m", "Begin")):
        subprocess.run(["git", *words], cwd=root, check=True)
    project = type("Project", (), {"repository": root, "root": root})
    monkeypatch.setattr(push, "current", lambda: project)
    monkeypatch.setattr(push, "shown", str)
    monkeypatch.setattr(
        push, "content", lambda image: {"python": "3", "packages": [], "debian": []}
    )
    monkeypatch.setattr(push, "locked", lambda: {"components": [], "dependencies": []})
    monkeypatch.setenv(push.AUDIT, "off")
    return root


@pytest.mark.parametrize("is_there", [True, False])
def test_the_reference_is_the_digest_that_was_pushed(
    docker: Docker, committed: Path, monkeypatch: Patch, tmp_path: Path, is_there: bool
) -> None:
    folder = docker()
    login = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(login))
    if is_there:
        login.touch()

    assert push.main(["docker.io/Team/service"]) == 0
    lent = f" --secret id=netrc,src={login} " in (folder / "asked").read_text()
    assert lent == is_there, "Docker refuses a file that is missing"
    assert push.reference_file().read_text() == f"docker.io/team/service@{DIGEST}\n"


@pytest.mark.parametrize(
    ("repository", "options", "untracked", "message"),
    [
        ("team/service", "", False, "`team/service` does not begin with a registry's host"),
        ("registry.example.org/service", "--build-arg 'x", False, "No closing quotation"),
        ("registry.example.org/service", "", True, "late.py"),
    ],
)
def test_what_is_not_built_is_explained(
    docker: Docker,
    committed: Path,
    monkeypatch: Patch,
    capsys: Capture,
    repository: str,
    options: str,
    untracked: bool,
    message: str,
) -> None:
    folder = docker()
    monkeypatch.setenv(push.OPTIONS, options)
    if untracked:
        (committed / "late.py").touch()

    assert push.main([repository]) == 1
    assert message in capsys.readouterr().err and not (folder / "asked").exists()


def test_an_overlay_takes_a_digest_in_place_of_its_tag_or_digest() -> None:
    path = manifests.overlay_file("production")
    if not path.is_file():
        pytest.skip("a project without Kubernetes")
    before = path.read_text(encoding="utf-8")

    after = manifests.with_image(before, REFERENCE)

    changed = set(after.splitlines()) - set(before.splitlines())
    assert {line.strip() for line in changed} == {
        "newName: registry.example.org:5000/team/service",
        f"digest: {DIGEST}",
    }
    assert "newTag" not in after
    assert manifests.with_image(after, REFERENCE) == after
    line = f"  digest: {DIGEST}\n"
    old = "    digest: sha256:old\n"
    for text in (before.replace("name: service", "name: other"), after.replace(line, line + old)):
        with pytest.raises(UsageError, match="needs one entry"):
            manifests.with_image(text, REFERENCE)


def test_a_cluster_that_is_away_leaves_the_overlay_as_it_was(
    monkeypatch: Patch, tmp_path: Path
) -> None:
    if not (current().root / "deploy/kubernetes").is_dir():
        pytest.skip("a project without Kubernetes")
    text = manifests.overlay_file("production").read_text(encoding="utf-8")
    path = tmp_path / "kustomization.yaml"
    path.write_text(text, encoding="utf-8")
    built: list[str] = []
    monkeypatch.setattr(manifests, "overlay_file", lambda overlay: path)
    monkeypatch.setattr(
        manifests, "build", lambda overlay: built.append(path.read_text(encoding="utf-8")) or ""
    )
    monkeypatch.setenv("PATH", str(tmp_path))

    assert promote.main(["production", "--image", REFERENCE]) == 2
    assert [DIGEST in each for each in built] == [True]
    assert path.read_text(encoding="utf-8") == text
    path.unlink()
    assert promote.main(["production", "--image", REFERENCE]) == 2
