"""The linters of each vendor find nothing in what is generated."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import (
    CI,
    COMBINATIONS,
    GAMES,
    HOUSE,
    LEVELS,
    TEAM_SIZES,
    VENDORS,
    Render,
    files_of,
    name_of,
)
from tests.product.conftest import run, tool

FOLDERS = tuple({path.split("/")[0] for ci in CI.values() for path in ci.jobs.values()})
FILES = (
    *(".gitlab-ci.yml", ".pre-commit-config.yaml", "renovate.json"),
    *(
        "Dockerfile",
        "service.Dockerfile",
        "compose.yaml",
        "compose.alerts.yaml",
        "compose.redis.yaml",
    ),
    *("tracking/Dockerfile", "tracking/compose.yaml"),
)
several_or_one = pytest.mark.parametrize(
    ("team_size", "house"), [(TEAM_SIZES[1], False), (TEAM_SIZES[2], False), (TEAM_SIZES[2], True)]
)
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


def all_of(
    render: Render,
    ci: str,
    use_case: str,
    team_size: str = "teams",
    orchestrator: str = "ci",
    features: str = "redis",
    *,
    house: bool = False,
) -> Path:
    """Render the variant that has all files of a vendor and a game, and its schedules."""
    runner = {} if ci == "github" else {"runner": "ml"}
    image = {} if ci == "azure" else {"service_image": "ci"}
    return render(
        ci=ci,
        use_case=use_case,
        team_size=team_size,
        level=LEVELS[-1],
        tracking="server",
        orchestrator=orchestrator,
        features=features,
        compute="kubernetes" if house else "machine",
        **image,
        **(HOUSE | runner if house else {}),
    )


@pytest.fixture
def every_whole(render: Render) -> list[Path]:
    """Render each vendor and game with all their files, for one model and for several."""
    own = [all_of(render, ci, GAMES[-1], house=True) for ci in VENDORS]
    return own + [all_of(render, *answers) for answers in product(VENDORS, GAMES, TEAM_SIZES[1:])]


@pytest.fixture(params=GAMES)
def use_case(request: pytest.FixtureRequest) -> str:
    game: str = request.param
    return game


def schema(project: Path, name: str, files: list[str], *more: str) -> None:
    """Hold files against a schema that check-jsonschema carries."""
    run(tool("check-jsonschema"), "--builtin-schema", name, *more, *files, cwd=project)


def below(project: Path, pattern: str) -> list[str]:
    result = [path.relative_to(project).as_posix() for path in sorted(project.glob(pattern))]
    assert result, f"no {pattern}"
    return result


# From the end: another process that renders them all begins at the other one, and they are shared.
@pytest.mark.parametrize("answers", COMBINATIONS[::-1], ids=name_of)
def test_what_is_linted_is_what_every_variant_has(answers: dict[str, Any], render: Render) -> None:
    # Another orchestrator takes the schedules out of the jobs.
    orchestrator = answers.get("orchestrator", "ci")
    # Jobs of several models differ from those of one.
    team_size = answers["team_size"].replace("one", "team")
    # So do those of a project whose features are on a server: they get its address.
    features = answers.get("features", "embedded")
    whole = all_of(render, answers["ci"], answers["use_case"], team_size, orchestrator, features)
    all_of_it = machinery(whole)

    for path, text in machinery(render(**answers)).items():
        assert all_of_it[path] == text


def distinct(files: Iterable[tuple[Path, str]]) -> list[str]:
    """Leave out files that are the same in a project before."""
    return list(
        {
            (path, (project / path).read_bytes()): str(project / path) for project, path in files
        }.values()
    )


def test_yaml_is_tidy(every_whole: list[Path], tmp_path: Path) -> None:
    files = [(project, path) for project in every_whole for path in machinery(project)]
    yaml_files = distinct(each for each in files if each[1].endswith((".yml", ".yaml")))

    run(tool("yamllint"), "--strict", "-d", YAMLLINT, *yaml_files, cwd=tmp_path)


def test_the_dockerfiles_keep_hadolints_rules(every_whole: list[Path], tmp_path: Path) -> None:
    names = ["Dockerfile", "service.Dockerfile", "tracking/Dockerfile"]

    run(tool("hadolint"), *distinct(product(every_whole, names)), cwd=tmp_path)


def test_compose_keeps_the_schema(every_whole: list[Path], tmp_path: Path) -> None:
    names = ["compose.yaml", "compose.alerts.yaml", "compose.redis.yaml", "tracking/compose.yaml"]

    schema(tmp_path, "vendor.compose-spec", distinct(product(every_whole, names)))


@several_or_one
def test_github_workflows_are_sound(
    render: Render, use_case: str, team_size: str, house: bool
) -> None:
    project = all_of(render, "github", use_case, team_size, house=house)
    workflows = below(project, ".github/workflows/*.yml")

    run(tool("actionlint"), *workflows, cwd=project)
    run(tool("zizmor"), "--offline", "--no-progress", ".", cwd=project)
    run(tool("act"), "--validate", "--strict", "--list", "-W", ".github/workflows", cwd=project)
    schema(project, "vendor.github-workflows", workflows)
    schema(project, "vendor.dependabot", [".github/dependabot.yml"])


@several_or_one
def test_gitlab_jobs_keep_the_schema(
    render: Render, use_case: str, team_size: str, house: bool
) -> None:
    project = all_of(render, "gitlab", use_case, team_size, house=house)
    jobs = [".gitlab-ci.yml", *below(project, ".gitlab/ci/*.yml")]

    schema(project, "vendor.gitlab-ci", jobs, "--data-transform", "gitlab-ci")
    schema(project, "vendor.renovate", ["renovate.json"])


@several_or_one
def test_azure_pipelines_keep_the_schema(
    render: Render, use_case: str, team_size: str, house: bool
) -> None:
    project = all_of(render, "azure", use_case, team_size, house=house)
    pipelines = below(project, ".pipelines/*.yml")
    azure = ["--data-transform", "azure-pipelines", "--regex-variant", "nonunicode"]

    schema(project, "vendor.azure-pipelines", pipelines, *azure)
    schema(project, "vendor.renovate", ["renovate.json"])
