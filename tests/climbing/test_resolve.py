"""What is settled by itself, and what is left to a user."""

from pathlib import Path

import pytest

from rung.core.climbing import messages
from rung.core.merging import line_merge
from rung.core.merging.conflict import Hunk, hunks
from rung.core.rendering import answers_file
from rung.system import globs
from tests.climbing import tiny
from tests.climbing.tiny import climb, commit, plan


@pytest.mark.parametrize(
    ("path", "pattern", "matches"),
    [
        ("src/flights/model.py", "src/*/model.py", True),
        ("src/a/b/model.py", "src/*/model.py", False),
        ("other/src/flights/model.py", "src/*/model.py", False),
        ("README.md", "README.md", True),
        ("docs/README.md", "README.md", False),
        ("docs/README.md", "**/*.md", True),
        ("README.md", "**/*.md", True),
    ],
)
def test_a_glob_begins_at_the_root(path: str, pattern: str, matches: bool) -> None:
    assert matches == bool(globs.matching([path], [pattern]))


def test_lines_that_merge_into_no_python_are_a_conflict(tmp_path: Path) -> None:
    """The user opens a text around lines that Rung closes one in."""
    made_from, project = tiny.with_template(tmp_path, level=1)
    file = project / "ops/one.py"
    file.write_text(tiny.FILES["files/ops/one.py"].replace("    return 3", "    return (3)"))
    commit(project)
    rungs = tiny.FILES["files/ops/one.py"].replace("def first() -> int:", "def first(\n) -> int:")
    tiny.release(made_from, "v0.2.0", {"files/ops/one.py": rungs})
    assert [] == plan(project, "v0.2.0").conflicts

    broken = tiny.FILES["files/ops/one.py"].replace('"""What a', 'x = """What a')
    tiny.release(made_from, "v0.3.0", {"files/ops/one.py": broken.replace('runs."""', "runs.")})
    file.write_text(tiny.FILES["files/ops/one.py"] + "\nMINE = 1\n")
    commit(project)
    (result,) = plan(project, "v0.3.0").conflicts

    assert ("ops/one.py", "unreadable") == (result.path, result.why)


def test_a_file_of_the_user_with_a_name_that_rung_adds_stays_and_is_named(project: Path) -> None:
    tiny.edit(project, {"Dockerfile": "FROM mine\n"})

    observed = climb(project, level=1)

    assert (["Dockerfile"], []) == (observed.own, observed.conflicts)
    assert "FROM mine\n" == (project / "Dockerfile").read_text()
    assert any(line.startswith("Dockerfile (your own;") for line in messages.left_alone(observed))
    assert ["Dockerfile"] == climb(project, level=2).edited
    assert "FROM mine\n" == (project / "Dockerfile").read_text()


LONG = "FROM scratch\nCOPY a .\nCOPY b .\nCOPY c .\nUSER me\n"


def test_a_file_of_your_own_stays_too_when_rung_changes_its_own_later(tmp_path: Path) -> None:
    made_from = tiny.template(tmp_path / "template", files={"files/Dockerfile": LONG})
    project = tiny.new_project(made_from, tmp_path / "p", level=0)
    tiny.edit(project, {"Dockerfile": "FROM mine\nRUN make\n"})
    climb(project, level=1)
    tiny.release(made_from, "v0.2.0", {"files/Dockerfile": f"{LONG}RUN all\n"})

    assert ["Dockerfile"] == climb(project, "v0.2.0").own
    assert "FROM mine\nRUN make\n" == (project / "Dockerfile").read_text()


def test_a_file_of_rungs_that_you_edited_is_not_a_file_of_your_own(tmp_path: Path) -> None:
    made_from, project = tiny.with_template(tmp_path, level=1)
    tiny.edit(project, {"Dockerfile": "FROM mine\nCOPY . .\n"})
    tiny.release(made_from, "v0.2.0", {"files/Dockerfile": "FROM other\nCOPY . .\n"})
    (result,) = plan(project, "v0.2.0").conflicts

    assert ("Dockerfile", "lines") == (result.path, result.why)


@pytest.mark.parametrize(
    ("base", "mine", "rungs"),
    [
        # Cut down to some of Rung's lines, of which Rung corrects one.
        (
            "".join(f"line {n}\n" for n in range(31)),
            "line 3\nline 14\nline 25\n",
            "".join(f"line {n}{'!' * (n == 14)}\n" for n in range(31)),
        ),
        # One line.
        ("3.11\n", "3.13\n", "3.12\n"),
    ],
)
def test_what_says_little_of_whose_it_is_conflicts(
    tmp_path: Path, base: str, mine: str, rungs: str
) -> None:
    made_from = tiny.template(tmp_path / "template", files={"files/page": base})
    project = tiny.new_project(made_from, tmp_path / "p", level=0)
    tiny.edit(project, {"page": mine})
    tiny.release(made_from, "v0.2.0", {"files/page": rungs})
    observed = plan(project, "v0.2.0")

    assert ([], ["page"]) == (observed.own, [conflict.path for conflict in observed.conflicts])


def test_answers_and_settings_written_again_are_never_your_own(tmp_path: Path) -> None:
    made_from = tiny.template(tmp_path / "template", files={"files/RUNG.md.jinja": PAGE})
    project = tiny.new_project(made_from, tmp_path / "p", level=0)
    reported = answers_file.recorded(project)
    flow = ", ".join(f"{name}: {value}" for name, value in reported.items())
    new = {".copier-answers.yml": f"{{{flow}}}\n", "RUNG.md": "Mine\n", "pyproject.toml": "[\n"}
    tiny.edit(project, new)
    observed = plan(project, level=1)

    assert [] == observed.own
    assert {".copier-answers.yml", "pyproject.toml"} == {
        conflict.path for conflict in observed.conflicts
    }


PAGE = "# Rung {{ level }}\n\n" + "".join(f"{n} of {{{{ level }}}}\n" for n in range(9))


def test_a_file_of_your_own_in_the_machinery_is_a_conflict(project: Path) -> None:
    tiny.edit(project, {"ops/one.py": "MINE = 1\n"})
    (result,) = plan(project, level=1).conflicts

    assert ("ops/one.py", "lines") == (result.path, result.why)


def test_a_file_that_was_not_readable_before_does_not_stop_a_climb(project: Path) -> None:
    tiny.edit(project, {"mine.py": "def (\n", "mine.toml": "[\n"})

    climb(project, level=1)


LINES = [f"{number}\n" for number in range(1, 30)]


def test_places_are_numbered_by_the_users_lines() -> None:
    mine, rungs = list(LINES), list(LINES)
    mine[0:2] = ["mine\n", "mine too\n", "and mine\n"]
    rungs[1] = "rung\n"
    mine[20] = "mine\n"
    rungs[20:22] = []
    texts = ["".join(lines).encode() for lines in (LINES, mine, rungs)]
    marked, count = line_merge.merge(*texts)

    assert 2 == count
    assert [
        Hunk(1, "mine\nmine too\nand mine\n", "1\nrung\n"),
        Hunk(21, "mine\n21\n22\n", "20\n"),
    ] == hunks(marked)


def test_lines_that_look_like_markers_of_another_kind_are_text() -> None:
    assert [] == hunks(b"<<<<<<< HEAD\na\n=======\nb\n>>>>>>> main\n")
