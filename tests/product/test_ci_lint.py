"""The linters of each vendor find nothing in what is generated."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import COMBINATIONS, VENDORS, Render, files_of, name_of
from tests.product.conftest import run, tool

FOLDERS = (".github/", ".gitlab/ci/", ".pipelines/")
FILES = (".gitlab-ci.yml", ".pre-commit-config.yaml", "Dockerfile", "renovate.json")
YAMLLINT = """
extends: default
rules:
  comments: {min-spaces-from-content: 1}
  document-start: disable
  line-length: {max: 100}
  truthy: {check-keys: false}
"""


def machinery(project: Path) -> dict[str, bytes]:
    """Read the files that this suite lints."""
    return {
        path: text
        for path, text in files_of(project).items()
        if path in FILES or (path.startswith(FOLDERS) and path.endswith((".yml", ".yaml")))
    }


@pytest.fixture(params=VENDORS)
def whole(request: pytest.FixtureRequest, render: Render) -> tuple[str, Path]:
    """Render the variant of a vendor that has all of the vendor's files."""
    vendor = request.param
    return vendor, render(ci=vendor, use_case="governance", team_size="teams", level=2)


def schema(project: Path, name: str, files: list[str], *more: str) -> None:
    """Hold files against a schema that check-jsonschema carries."""
    run(tool("check-jsonschema"), "--builtin-schema", name, *more, *files, cwd=project)


def below(project: Path, pattern: str) -> list[str]:
    """Name the files of a project that match, at least one."""
    found = [path.relative_to(project).as_posix() for path in sorted(project.glob(pattern))]
    assert found, f"no {pattern}"
    return found


@pytest.mark.parametrize("answers", COMBINATIONS, ids=name_of)
def test_what_is_linted_is_what_every_variant_has(answers: dict[str, Any], render: Render) -> None:
    all_of_it = machinery(
        render(ci=answers["ci"], use_case="governance", team_size="teams", level=2)
    )

    for path, text in machinery(render(**answers)).items():
        assert all_of_it[path] == text


def test_yaml_is_tidy(whole: tuple[str, Path]) -> None:
    _, project = whole
    files = [path for path in machinery(project) if path.endswith((".yml", ".yaml"))]

    run(tool("yamllint"), "--strict", "-d", YAMLLINT, *files, cwd=project)


def test_the_dockerfile_keeps_hadolints_rules(whole: tuple[str, Path]) -> None:
    _, project = whole

    run(tool("hadolint"), "Dockerfile", cwd=project)


def test_github_workflows_are_sound(render: Render) -> None:
    project = render(ci="github", use_case="governance", team_size="teams", level=2)
    workflows = below(project, ".github/workflows/*.yml")

    run(tool("actionlint"), *workflows, cwd=project)
    run(tool("zizmor"), "--offline", "--no-progress", ".", cwd=project)
    run(tool("act"), "--validate", "--strict", "--list", "-W", ".github/workflows", cwd=project)
    schema(project, "vendor.github-workflows", workflows)
    schema(project, "vendor.dependabot", [".github/dependabot.yml"])


def test_gitlab_jobs_keep_the_schema(render: Render) -> None:
    project = render(ci="gitlab", use_case="governance", team_size="teams", level=2)
    jobs = [".gitlab-ci.yml", *below(project, ".gitlab/ci/*.yml")]

    schema(project, "vendor.gitlab-ci", jobs, "--data-transform", "gitlab-ci")
    schema(project, "vendor.renovate", ["renovate.json"])


def test_azure_pipelines_keep_the_schema(render: Render) -> None:
    project = render(ci="azure", use_case="governance", team_size="teams", level=2)
    pipelines = below(project, ".pipelines/*.yml")
    azure = ["--data-transform", "azure-pipelines", "--regex-variant", "nonunicode"]

    schema(project, "vendor.azure-pipelines", pipelines, *azure)
    schema(project, "vendor.renovate", ["renovate.json"])


def test_actions_are_pinned_by_commit_and_nothing_is_granted_by_default(render: Render) -> None:
    project = render(ci="github", use_case="governance", team_size="teams", level=2)

    for path in below(project, ".github/workflows/*.yml"):
        text = (project / path).read_text()
        uses = [line.split("uses: ")[1] for line in text.splitlines() if "uses: " in line]

        assert "\npermissions: {}\n" in text
        assert uses
        for action in uses:
            name, _, comment = action.partition(" # v")
            assert comment, f"{path}: {action} does not say its version"
            assert len(name.partition("@")[2]) == 40, f"{path}: {action} is not a commit"


def test_a_linter_that_finds_something_fails(render: Render, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN cd /tmp && sudo ls\n")

    done = subprocess.run([tool("hadolint"), "Dockerfile"], cwd=tmp_path, check=False)

    assert done.returncode == 1
