"""CI's job `image` really runs: Docker builds, Debian's registry takes it, and its digest is promoted."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.product.ci_site import github, gitlab
from tests.product.ci_trials import FOUND, advisories
from tests.product.conftest import Started, commit, environment, run, tool
from tests.product.processes import end_group, start_process
from tests.product.serving import eventually, free_port
from tests.product.test_image import daemon

__all__ = ["daemon"]  # a fixture
pytestmark = pytest.mark.slow

LEVEL = {"level": 3, "use_case": "velocity", "service_image": "ci"}
CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


class Registry:
    """A registry on this machine, which can go away and come back."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.repository = f"127.0.0.1:{self.port}/late-flights/service"
        (folder / "config.yml").write_text(CONFIG.format(folder=folder, port=self.port))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        command = [tool("docker-registry"), "serve", str(self.folder / "config.yml")]
        process = start_process(command, self.folder, self.folder / "log.txt", environment())
        try:
            assert eventually(lambda: self.digest("none") == ""), "the registry does not start"
            yield
        finally:
            end_group(process)

    def digest(self, tag: str) -> str | None:
        """Ask what a tag names: nothing where it is unknown, None where nobody answers."""
        address = f"http://127.0.0.1:{self.port}/v2/late-flights/service/manifests/{tag}"
        try:
            with urlopen(Request(address, headers={"accept": MANIFESTS}), timeout=10) as answer:
                return str(answer.headers["docker-content-digest"])
        except HTTPError:
            return ""
        except OSError:
            return None


def poe(project: Path, expect: int, *words: str, **variables: str) -> str:
    return run("uv", "run", "poe", *words, cwd=project, expect=expect, **variables).stdout


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "registry").mkdir()
    return Registry(tmp_path / "registry")


def test_github_brings_one_image_to_staging_and_production(
    start: Started, daemon: str, registry: Registry, tmp_path: Path
) -> None:
    project = start(ci="github", **LEVEL)
    (tmp_path / "kept").mkdir()
    with registry.running(), advisories("") as audit:
        given = {
            "IMAGE": registry.repository,
            "IMAGE_BUILD_OPTIONS": "--network host",
            "PIP_AUDIT_OSV_URL": audit["PIP_AUDIT_OSV_URL"],
        }
        variables = [part for pair in given.items() for part in ("--var", "=".join(pair))]
        host = ("--env", f"DOCKER_HOST={daemon}")
        done = github(project, "image", "push", tmp_path / "kept", *variables, *host)
        assert done.returncode == 0, done.stdout
        head = run("git", "rev-parse", "HEAD", cwd=project).stdout.strip()
        first = registry.digest("production")
        assert first
        assert registry.digest("staging") == registry.digest(head) == first

        reference = f"{registry.repository}@{first}"
        assert (tmp_path / "kept/image/reference.txt").read_text().strip() == reference
        assert (tmp_path / "kept/attested.txt").read_text().splitlines() == [
            f"{reference} provenance",
            f"{reference} reports/image/sbom.cdx.json",
        ]
        bill = json.loads((tmp_path / "kept/image/sbom.cdx.json").read_text())
        names = {each["name"] for each in bill["components"]}
        assert {"onnxruntime", "rung-ops", "libc6", "python"} <= names
        assert not {"mlflow", "dvc", "pip-audit"} & names, "they are not in the image"

        # Another byte is another image, and reaches production only when it is promoted.
        package = project / "src/late_flights/__init__.py"
        package.write_text(package.read_text() + "\n")
        commit(project, "Change a byte")
        here = {"DOCKER_HOST": daemon, "IMAGE_BUILD_OPTIONS": "--network host"} | audit
        poe(project, 0, "service-image-push", registry.repository, **here)
        poe(project, 0, "service-image-promote", "staging", **here)
        second = registry.digest("staging")
        assert (second or first) != first == registry.digest("production")

    # Without the registry nothing is pushed, and what was pushed before is not promoted.
    promote = ("service-image-promote", "production")
    printed = poe(project, 1, *promote, **here)
    assert "`docker pull` failed" in printed and " is 127.0.0.1" not in printed, printed
    here["IMAGE_AUDIT"] = "off"
    printed = poe(project, 1, "service-image-push", registry.repository, **here)
    assert "`docker push` failed" in printed and "NOT checked" in printed, printed
    assert "no image was pushed from here" in poe(project, 1, *promote, **here)
    with registry.running():
        assert registry.digest("production") == first
        assert registry.digest("staging") == second


def test_gitlab_brings_one_image_to_staging_and_production(
    start: Started, daemon: str, registry: Registry, venv: Path
) -> None:
    project = start(ci="gitlab", **LEVEL)
    with (project / ".git/info/exclude").open("a") as exclude:
        exclude.write(".gitlab-ci-local/\n")
    # For a commit that origin has, gitlab-ci-local finds no changes, and leaves out what jobs need.
    package = project / "src/late_flights/__init__.py"
    package.write_text(package.read_text() + "\n")
    commit(project, "Change a byte")
    given = {
        "IMAGE": registry.repository,
        "IMAGE_BUILD_OPTIONS": "--network host",
        "DOCKER_HOST": daemon,
        "REGISTRY_PASSWORD": "",
    }
    with registry.running():
        with advisories("onnxruntime") as audit:
            done = gitlab(project, "service-image", venv, **given, **audit)
        assert done.returncode == 1 and FOUND in done.stdout, done.stdout
        head = run("git", "rev-parse", "HEAD", cwd=project).stdout.strip()
        assert registry.digest(head) == "", "an image with a known vulnerability is not pushed"

        with advisories("") as audit:
            for job in ("", "-staging", "-production"):
                done = gitlab(project, f"service-image{job}", venv, **given, **audit)
                assert done.returncode == 0, done.stdout
        assert registry.digest(head)
        assert {registry.digest(tag) for tag in (head, "staging")} == {
            registry.digest("production")
        }


def test_an_image_that_does_not_start_reaches_no_environment(
    start: Started, daemon: str, registry: Registry
) -> None:
    project = start(ci="github", **LEVEL)
    with (project / "service.Dockerfile").open("a") as file:
        file.write('ENTRYPOINT ["rung-ops", "serve", "--no-such-option"]\n')
    commit(project, "Break it")
    here = {"DOCKER_HOST": daemon, "IMAGE_BUILD_OPTIONS": "--network host", "IMAGE_AUDIT": "off"}
    with registry.running():
        poe(project, 0, "service-image-push", registry.repository, **here)
        printed = poe(project, 1, "service-image-promote", "staging", **here)

        assert "is exited" in printed and "--no-such-option" in printed, printed
        assert registry.digest("staging") == registry.digest("production") == ""
