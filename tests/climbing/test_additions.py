"""Entries are added to a user's files, and nothing that is there changes."""

import tomllib
from typing import Any

import pytest

from rung.core.adoption import complete

RUNG = b"""
[project]
name = "late"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["numpy>=2.2", "pandera[polars]>=0.30"]
[dependency-groups]
rung-0 = ["pytest>=8.4"]
[tool.uv]
default-groups = "all"
exclude-newer = "2026-11-01T00:00:00Z"
[tool.uv.sources]
rung-ops = { path = "vendor/rung_ops-1-py3-none-any.whl" }
[tool.rung]
package = "late"
machinery = "1"
[tool.poe]
include = ["ops/tasks.toml"]
[tool.mypy]
files = ["src"]
[tool.ruff]
line-length = 100
"""


def added(ours: str, **how: Any) -> dict:
    merged, _, _ = complete.add_to_toml(ours.encode(), RUNG, **how)
    return tomllib.loads(merged.decode())


@pytest.mark.parametrize(
    "ours",
    [
        '[project]\nname = "x"\n# why\nversion = "2"\n',
        '[project]\nname = "x"\ndependencies = ["NumPy==1.26", "requests"]\n',
        '[project]\nname = "x"\ndependencies = [\n  "numpy", # pinned by ops\n]\n',
        '[tool.poe]\ninclude = "mine.toml"\n[tool.poe.tasks]\na = "b"\n',
        '[dependency-groups]\ndev = ["pytest"]\n[tool.uv]\ndefault-groups = ["dev"]\n',
        "[tool.black]\nline-length = 88\n",
        "",
    ],
)
def test_every_line_stays_and_every_value_too(ours: str) -> None:
    merged, got, _ = complete.add_to_toml(ours.encode(), RUNG)

    before, after = tomllib.loads(ours), tomllib.loads(merged.decode())
    assert got
    assert _lines(ours) <= _lines(merged.decode())
    assert _holds(after, before)


@pytest.mark.parametrize(
    "ours",
    [
        "",
        '[tool.uv.sources]\na = { path = "a" }\n',
        'tool.uv.sources = { a = { path = "a" } }\n',
        '[tool.uv]\nsources = { a = { path = "a" } }\n[tool.rung.hooks]\nplots = "x:y"\n',
    ],
)
def test_the_library_and_the_package_are_found(ours: str) -> None:
    tool = added(ours)["tool"]

    assert {"path": "vendor/rung_ops-1-py3-none-any.whl"} == tool["uv"]["sources"]["rung-ops"]
    assert "late" == tool["rung"]["package"]


def test_another_build_of_the_library_stays() -> None:
    ours = '[tool.uv.sources]\nrung-ops = { git = "https://example.org/ops" }\n'

    assert {"git": "https://example.org/ops"} == added(ours)["tool"]["uv"]["sources"]["rung-ops"]


def _lines(text: str) -> set[str]:
    """Return the lines without brackets, as a list that gets an entry may be reformatted."""
    return {line.strip(" ,") for line in text.splitlines()} - {"", "]", *_lists(text)}


def _lists(text: str) -> set[str]:
    return {line.strip(" ,") for line in text.splitlines() if line.startswith("dependencies = [")}


def _holds(after: object, before: object) -> bool:
    if isinstance(before, dict) and isinstance(after, dict):
        return all(_holds(after.get(key), value) for key, value in before.items())
    if isinstance(before, list) and isinstance(after, list):
        return before == after[: len(before)]
    return before == after


def test_what_the_verbs_need_is_added_and_no_taste() -> None:
    tool = added('[project]\nname = "x"\n[tool.ruff]\nline-length = 79\n')["tool"]

    assert {"default-groups", "sources"} == tool["uv"].keys()
    assert "all" == tool["uv"]["default-groups"]
    assert ["ops/tasks.toml"] == tool["poe"]["include"]
    assert {"line-length": 79} == tool["ruff"]


def test_an_installed_package_is_not_requested_again() -> None:
    project = added('[project]\nname = "x"\ndependencies = ["NumPy==1.26"]\n')["project"]

    assert ["NumPy==1.26", "pandera[polars]>=0.30"] == project["dependencies"]


@pytest.mark.parametrize(
    "ours", ['[project]\nname = "x"\ndynamic = ["dependencies"]\n', '[tool.poetry]\nname = "x"\n']
)
def test_where_dependencies_stand_elsewhere_what_predicts_gets_a_group(ours: str) -> None:
    after = added(ours)

    assert "dependencies" not in after.get("project", {})
    assert ["numpy>=2.2", "pandera[polars]>=0.30"] == after["dependency-groups"]["model"]
    assert {"rung-0", "model"} == after["dependency-groups"].keys()


@pytest.mark.parametrize(
    "ours, packaged, has",
    [
        ("[tool.black]\n", False, True),
        ("[tool.black]\n", True, False),
        ('[tool.poetry]\nname = "x"\n', False, False),
        ('[build-system]\nrequires = ["setuptools"]\n', False, False),
    ],
)
def test_a_project_table_is_written_only_where_nothing_packages(
    ours: str, packaged: bool, has: bool
) -> None:
    merged, got, _ = complete.add_to_toml(
        ours.encode(), RUNG, elsewhere=["project"] if packaged else []
    )

    assert has == ("project" in tomllib.loads(merged.decode()))
    assert has != any("dependency-groups.model" in entry for entry in got)


def test_src_is_named_where_packaging_does_not_know_it() -> None:
    assert "src" == added("", flat=True)["tool"]["poe"]["env"]["PYTHONPATH"]
    assert "env" not in added("")["tool"]["poe"]


@pytest.mark.parametrize(
    ("ours", "why"),
    [
        (b"[project", "cannot be read as TOML"),
        (b"\xff", "cannot be read as TOML"),
        (b"tool = 1\n", "`tool` conflicts"),
        (b"[tool]\nuv = 1\n", "`tool.uv.default-groups` conflicts"),
        (b"[tool]\npoe = 'x'\n", "`tool.poe.include` conflicts"),
        (b"[[project]]\n", "`project` conflicts"),
    ],
)
def test_what_is_not_such_a_file_stays_as_it_is_and_it_is_reported_why(
    ours: bytes, why: str
) -> None:
    merged, got, (reason,) = complete.add_to_toml(ours, RUNG)

    assert (ours, []) == (merged, got)
    assert why in reason


def test_a_text_where_a_list_goes_is_the_users_to_change() -> None:
    mine = b'[tool.poe]\ninclude = "mine.toml"\n'
    merged, got, by_hand = complete.add_to_toml(mine, RUNG)

    assert "`tool.poe.include` is not a list" in by_hand[0]
    assert by_hand == complete.add_to_toml(merged, RUNG)[2]
    assert got
    assert "mine.toml" == tomllib.loads(merged.decode())["tool"]["poe"]["include"]
    assert [] == complete.add_to_toml(mine.replace(b"mine", b"ops/tasks"), RUNG)[2]


def test_twice_is_once() -> None:
    once, _, _ = complete.add_to_toml(b'[project]\nname = "x"\n', RUNG, flat=True)

    assert (once, [], []) == complete.add_to_toml(once, RUNG, flat=True)


@pytest.mark.parametrize(
    "ours, merged",
    [
        (b"", b"\n# Rung\n/model/\n/logs/\n"),
        (b"/model/\n", b"/model/\n\n# Rung\n/logs/\n"),
        (b"mine", b"mine\n\n# Rung\n/model/\n/logs/\n"),
        (b"/logs/\n/model/\n", b"/logs/\n/model/\n"),
    ],
)
def test_patterns_are_appended(ours: bytes, merged: bytes) -> None:
    assert merged == complete.add_lines(ours, b"# What\n/model/\n\n/logs/\n", lambda _: "")[0]


@pytest.mark.parametrize(
    ("python", "refused"),
    [(">=3.9", True), (">=3.8,<3.11", True), (">=3.12", False), ("~=3.11", False)],
)
def test_a_python_that_rung_does_not_run_on_is_reported(python: str, refused: bool) -> None:
    ours = f'[project]\nname = "a"\nversion = "1"\nrequires-python = "{python}"\n'
    _, _, by_hand = complete.add_to_toml(ours.encode(), RUNG)

    message = f"`project.requires-python` is '{python}', and Rung runs on '>=3.11' only"
    assert refused == any(message in reason for reason in by_hand)


@pytest.mark.parametrize(
    ("settings", "configured", "files"),
    [
        ("", False, ["src"]),
        ("[tool.mypy]\nstrict = true\n", False, ["src"]),
        ('[tool.mypy]\npackages = ["churn"]\n', False, None),
        ("", True, None),  # a mypy.ini
    ],
)
def test_mypy_gets_the_folders_to_check_unless_they_are_set(
    settings: str, configured: bool, files: list[str] | None
) -> None:
    elsewhere = ["mypy"] if configured else []
    tool = added(f'[project]\nname = "a"\n{settings}', elsewhere=elsewhere)["tool"]
    mypy = tool.get("mypy", {})

    assert files == mypy.get("files")
    assert ("strict" in settings) == ("strict" in mypy)
