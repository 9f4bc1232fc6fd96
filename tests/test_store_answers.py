"""The answers about an object store: what is taken, what is refused, and where they end up."""

import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import copier
import pytest

from tests import asking
from tests.conftest import Render, files_of

FINE: dict[str, list[str]] = {
    "store_endpoint": [
        "",
        "https://minio.example.org:9000",
        "http://[::1]:8333",
        "https://a/v1/s3",
    ],
    "store_bucket": ["abc", "flights-2026.raw", "0" * 63],
    "store_prefix": ["", "flights", "team/late-flights_2026", "dt=2026/a.b"],
}
INJECTED = ["a\n", 'a"b', "a b", "a#b", "{{ package }}"]  # into TOML, an INI file or Jinja
BAD: dict[str, list[str]] = {
    "store_endpoint": ["minio:9000", "ftp://there", "https://", "https://somebody:secret@there"]
    + ["https://there?x=1", "https://there:port", "https://-there"]
    + [f"https://{text}" for text in INJECTED],
    "store_bucket": ["", "ab", "a" * 64, "Upper", "a..b", "-abc", "abc/def", "s3://abc", *INJECTED],
    "store_prefix": ["/flights", "flights/", "a//b", "..", "a/../b", ".hidden", "a%b", *INJECTED],
}


def together(answers: dict[str, list[str]]) -> list[dict[str, str]]:
    """Give each answer once at least, in as few projects as there are of the most."""
    most = max(map(len, answers.values()))
    return [
        {question: every[number % len(every)] for question, every in answers.items()}
        for number in range(most)
    ]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the questions, and the two files in which these answers end up."""
    folder = tmp_path_factory.mktemp("store") / "template"
    return asking.template(folder, "ops/store.toml.jinja", ".dvc/config.jinja")


def made(template: Path, project: Path, **answers: Any) -> Path:
    """Answer as given, and go on with the defaults."""
    given = {"data": "store", "level": 2} | answers
    copier.run_copy(str(template), project, data=given, defaults=True, quiet=True)
    return project


@pytest.mark.parametrize("answers", together(FINE), ids=lambda answers: "|".join(answers.values()))
def test_fitting_answers_are_written_as_they_are(
    template: Path, tmp_path: Path, answers: dict[str, str]
) -> None:
    project = made(template, tmp_path / "made", **answers)

    store = tomllib.loads((project / "ops/store.toml").read_text())["store"]
    assert store["endpoint"] == answers["store_endpoint"]
    assert store["bucket"] == answers["store_bucket"]
    assert store["prefix"] == f"{answers['store_prefix']}/raw".lstrip("/")
    remote = ConfigParser(interpolation=None)
    remote.read_string((project / ".dvc/config").read_text())
    section = remote["'remote \"store\"'"]
    assert remote["core"]["remote"] == "store"
    assert section.get("endpointurl", "") == answers["store_endpoint"]
    bucket, _, prefix = section["url"].removeprefix("s3://").partition("/")
    assert bucket == answers["store_bucket"]
    assert prefix == f"{answers['store_prefix']}/dvc".lstrip("/")


@pytest.mark.parametrize("question", BAD)
def test_another_answer_is_refused_in_words(question: str) -> None:
    for answer in BAD[question]:
        assert asking.refusal(question, **{question: answer}).startswith("Use "), answer


@pytest.mark.parametrize("package", ["a", "late_flights", "a" * 40])
def test_the_bucket_of_any_package_has_a_valid_name(
    template: Path, tmp_path: Path, package: str
) -> None:
    assert (made(template, tmp_path / "made", package=package) / "ops/store.toml").exists()


@pytest.mark.parametrize("level", [0, 2])
def test_without_a_store_nothing_speaks_of_one(render: Render, level: int) -> None:
    files = files_of(render(data="files", level=level))

    assert [path for path in files if "store" in path or ".env" in path] == []
    assert b"rung-data-store" not in files["pyproject.toml"]
    assert b"envfile" not in files["ops/tasks.toml"]
    if level >= 2:
        assert files[".dvc/config"].decode() == (
            "[core]\n    analytics = false\n    remote = local\n"
            "['remote \"local\"']\n    url = ../dvc_remote\n"
        )


def test_the_store_is_the_same_on_every_rung(render: Render) -> None:
    first, last = (files_of(render(data="store", level=level)) for level in (0, 4))

    for path in ("ops/store.toml", ".env.example"):
        assert first[path] == last[path]
