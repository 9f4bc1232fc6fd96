"""Each kind of edit that is known to get lost in updates survives a climb, or is reported."""

import os
import re
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest

from rung.core.climbing import apply, messages
from rung.core.merging import tree_merge
from rung.errors import RungError
from tests.climbing import tiny
from tests.climbing.conftest import NewProject
from tests.climbing.tiny import climb, commit, edit, files_of, git, plan, write


@pytest.fixture(params=["merge-tree", "a git of before 2.43"])
def either_merge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "merge-tree":
        monkeypatch.setattr(tree_merge, "version", lambda: (2, 30))


def test_without_edits_a_climb_gives_a_fresh_project(
    project: Path, small: Path, tmp_path: Path, either_merge: None
) -> None:
    climb(project, level=2)

    assert files_of(tiny.fresh(small, tmp_path / "fresh", level=2)) == files_of(project)


def test_lines_that_both_changed_are_a_conflict_and_nothing_is_written(
    project: Path, either_merge: None
) -> None:
    edit(project, {"ops/zero.py": tiny.CODE + "\n\nLEVEL = 99\n"})
    before = files_of(project)
    (conflict,) = plan(project, level=1).conflicts

    assert ("ops/zero.py", "lines") == (conflict.path, conflict.why)
    assert [(16, "LEVEL = 99\n", "LEVEL = 1\n")] == [
        (hunk.line, hunk.ours, hunk.theirs) for hunk in conflict.hunks
    ]
    assert before == files_of(project)


def test_a_missing_file_is_created_even_if_git_would_ignore_it(project: Path) -> None:
    edit(project, {".gitignore": "*.log\nDockerfile\n"})
    climb(project, level=1)

    assert "FROM scratch" in (project / "Dockerfile").read_text()
    assert "Dockerfile" in git(project, "ls-files").split()


def test_down_and_up_again_an_edit_is_still_the_persons(new_project: NewProject) -> None:
    project = new_project(2)
    edited: dict[str, str | bytes | None] = {
        "ops/two.py": tiny.FILES["files/ops/two.py"].replace("return 2", "return 22"),
        "data/table.bin": b"\0mine",
    }
    edit(project, edited)
    observed = climb(project, level=0)
    assert sorted(edited) == observed.kept
    assert not (project / "ops/one.py").exists()
    climb(project, level=2)

    for path, content in edited.items():
        assert content == (
            (project / path).read_bytes()
            if isinstance(content, bytes)
            else (project / path).read_text()
        )


def test_a_renamed_file_is_followed(project: Path, either_merge: None) -> None:
    git(project, "mv", "ops/zero.py", "ops/start.py")
    file = project / "ops/start.py"
    file.write_text(file.read_text().replace("return 3", "return 33"))
    commit(project)
    observed = climb(project, level=2)

    assert {"ops/zero.py": "ops/start.py"} == observed.renamed
    assert not (project / "ops/zero.py").exists()
    assert "return 33" in file.read_text()
    assert "LEVEL = 2" in file.read_text()


@pytest.mark.parametrize("path", ["ops/zero.py", "README.md", "src/flights/model.py"])
def test_a_deleted_file_stays_deleted(project: Path, path: str) -> None:
    if path.startswith("src"):
        write(project, {"src/flights/other.py": "X = 1\n"})
    edit(project, {path: None})

    for level in (1, 2, 0):
        climb(project, level=level)
        assert not (project / path).exists()


def test_rungs_version_beside_yours_overwrites_nothing(tmp_path: Path) -> None:
    made_from, project = tiny.with_template(tmp_path, level=2)
    edit(project, {"data/table.bin": b"\0mine", "data/table.bin.rung": "a file of mine\n"})
    (project / ".git/info/exclude").write_text("*.rung-2\n")
    write(project, {"data/table.bin.rung-2": "and one that git ignores\n"})
    tiny.release(made_from, "v0.2.0", {"files/data/table.bin": b"\0rung"})
    with tiny.prepare(project, "v0.2.0") as prepared:
        (conflict,) = prepared.plan.conflicts
        assert ("data/table.bin", "binary") == (conflict.path, conflict.why)
        apply.climb_on_branch(prepared, "side", messages.message(prepared.plan), verify=False)

    assert "a file of mine" == git(project, "show", "side:data/table.bin.rung")
    assert "rung" in git(project, "show", "side:data/table.bin.rung-3")
    assert "data/table.bin.rung-2" not in git(project, "ls-tree", "-r", "--name-only", "side")


def test_bytes_that_are_not_utf8_are_kept(project: Path) -> None:
    file = project / "ops/zero.py"
    file.write_bytes(file.read_bytes().replace(b"return 1", b"return 1  # caf\xe9"))
    commit(project)
    climb(project, level=2)

    assert b"# caf\xe9" in file.read_bytes()
    assert b"LEVEL = 2" in file.read_bytes()


@pytest.mark.parametrize("path", ["ops/zero.py", "pyproject.toml", "tasks.yml", "RUNG.md"])
def test_line_ends_of_windows_are_kept_and_rungs_lines_get_them(project: Path, path: str) -> None:
    file = project / path
    comment = b"" if path == "RUNG.md" else b"# mine\r\n"
    file.write_bytes(comment + file.read_bytes().replace(b"\n", b"\r\n"))
    commit(project)
    before = file.read_bytes()
    climb(project, level=1)

    assert file.read_bytes().startswith(comment)
    assert before != file.read_bytes()
    assert file.read_bytes().count(b"\n") == file.read_bytes().count(b"\r\n")


@pytest.mark.parametrize("path", ["ops/zero.py", "pyproject.toml"])
def test_line_ends_that_git_itself_converts_are_not_an_edit(project: Path, path: str) -> None:
    """As Git for Windows is set up: files have other line ends on disk than in commits."""
    git(project, "config", "core.autocrlf", "true")
    git(project, "rm", "--quiet", "-r", "--cached", ".")
    git(project, "reset", "--quiet", "--hard")
    text = (project / path).read_bytes()
    assert text.count(b"\n") == text.count(b"\r\n")
    edit(project, {path: b"# mine\r\n" + text})

    climb(project, level=1)

    after = (project / path).read_bytes()
    assert after.startswith(b"# mine\r\n")
    assert after.count(b"\n") == after.count(b"\r\n")
    assert git(project, "ls-files", "--eol", path).startswith("i/lf")


@pytest.mark.parametrize("yours", ["dockerfile", "Ops/One.py"])
def test_names_that_differ_only_in_case_are_a_conflict(project: Path, yours: str) -> None:
    edit(project, {yours: "mine\n"})
    before = files_of(project)

    with pytest.raises(RungError, match=rf"`{yours}` and Rung's name there differ only in upper"):
        climb(project, level=1)

    assert before == files_of(project)
    rungs = {"dockerfile": "Dockerfile", "Ops/One.py": "ops/one.py"}[yours]
    git(project, "mv", yours, f"{yours}.mine")
    commit(project)
    climb(project, level=1)
    assert (project / rungs).is_file()


def test_a_folder_that_differs_only_in_case_is_refused_too(project: Path) -> None:
    git(project, "mv", "ops", "Ops")
    commit(project)

    with pytest.raises(
        RungError, match=r"differ only in upper and lower case(?s:.*)git mv Ops ops$"
    ):
        plan(project, level=1)


def test_a_file_of_rungs_may_be_renamed_in_case_alone(new_project: NewProject) -> None:
    project = new_project(1)
    git(project, "mv", "Dockerfile", "dockerfile")
    commit(project)

    climb(project, level=2)

    assert not (project / "Dockerfile").exists()


def test_an_executable_bit_of_yours_and_a_change_of_rungs_both_stay(
    project: Path, either_merge: None
) -> None:
    (project / "ops/zero.py").chmod(0o755)
    commit(project)
    climb(project, level=1)

    assert os.access(project / "ops/zero.py", os.X_OK)
    assert "LEVEL = 1" in (project / "ops/zero.py").read_text()


def test_a_link_of_yours_stays_a_link(project: Path) -> None:
    (project / "mine").symlink_to("README.md")
    (project / "ops/zero.py").unlink()
    (project / "ops/zero.py").symlink_to("../src/flights/model.py")
    commit(project)
    result = plan(project, level=1).conflicts

    assert [("ops/zero.py", "kind")] == [(conflict.path, conflict.why) for conflict in result]
    edit(project, {"ops/zero.py": None})
    climb(project, level=1)
    assert "README.md" == str((project / "mine").readlink())


@pytest.mark.parametrize("link", [False, True])
def test_a_file_or_link_of_yours_where_a_folder_of_rungs_goes_stays_and_is_named(
    new_project: NewProject, tmp_path: Path, either_merge: None, link: bool
) -> None:
    project, elsewhere = new_project(0), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (project / "data").rmdir()  # Copier makes it, empty
    if link:
        (project / "data").symlink_to(elsewhere)
    else:
        write(project, {"data": "mine\n"})
    commit(project)

    assert ["data"] == climb(project, level=2).own
    for level in (1, 2, 0):
        climb(project, level=level)
    assert link == (project / "data").is_symlink()
    assert link or "mine\n" == (project / "data").read_text()
    assert [] == list(elsewhere.iterdir())


def test_a_file_of_yours_where_the_folder_of_settings_goes_is_a_conflict(tmp_path: Path) -> None:
    made_from, project = tiny.with_template(tmp_path, level=0)
    edit(project, {"machinery": "mine\n"})
    tiny.release(made_from, "v0.2.0", {"files/machinery/code.py": "CODE = 1\n"})
    result = plan(project, "v0.2.0").conflicts

    assert [("machinery", "kind")] == [(conflict.path, conflict.why) for conflict in result]
    assert "mine\n" == (project / "machinery").read_text()


def test_a_link_in_the_place_of_rungs_page_stays(project: Path, either_merge: None) -> None:
    (project / "RUNG.md").unlink()
    (project / "RUNG.md").symlink_to("README.md")
    commit(project)
    for level in (1, 2, 0):
        climbed = climb(project, level=level)
        assert ["RUNG.md"] == climbed.own
        listed = [line for line in messages.left_alone(climbed) if line.startswith("RUNG.md (")]
        assert ["RUNG.md (your own; Rung's file of that name is left out)"] == listed

    assert "README.md" == str((project / "RUNG.md").readlink())
    assert "# Yours\n" == (project / "README.md").read_text()


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_or_link_of_yours_where_a_file_of_rungs_goes_stays_and_is_named(
    project: Path, either_merge: None, link: bool
) -> None:
    mine = project / ("Dockerfile" if link else "Dockerfile/mine")
    if link:
        mine.symlink_to("README.md")
    else:
        write(project, {"Dockerfile/mine": "mine\n"})
    commit(project)
    with tiny.prepare(project, level=2) as prepared:
        own, result = prepared.plan.own, prepared.bench.files(prepared.plan.result)

    assert ["Dockerfile"] == own
    assert [str(mine.relative_to(project))] == [p for p in result if p.startswith("Dockerfile")]
    for level in (1, 2, 0, 2):
        climb(project, level=level)
    assert (link, "# Yours\n" if link else "mine\n") == (mine.is_symlink(), mine.read_text())


def test_a_file_of_yours_like_rungs_stays_when_the_rung_goes(project: Path) -> None:
    """As .dvc/.gitignore is, where the user has run `dvc init` before."""
    edit(project, {"Dockerfile": tiny.FILES["files/Dockerfile"]})
    climb(project, level=1)
    observed = climb(project, level=0)

    assert tiny.FILES["files/Dockerfile"] == (project / "Dockerfile").read_text()
    assert ["ops/one.py"] == observed.retired
    assert ["Dockerfile"] == observed.earlier
    assert ["Dockerfile"] == observed.as_data()["had"]  # as programs know it
    assert any(line.startswith("Dockerfile (") for line in messages.left_alone(observed))


@pytest.mark.parametrize("path", ["ops/one.py", "Dockerfile"])
def test_a_deletion_survives_the_way_down_and_up(new_project: NewProject, path: str) -> None:
    project = new_project(1)
    edit(project, {path: None})
    for level in (0, 1, 2, 0, 2):
        climbed = climb(project, level=level)
        assert not (project / path).exists()
        assert ([path] if level else []) == climbed.gone
    for other in {"ops/one.py", "Dockerfile", "ops/two.py"} - {path}:
        assert (project / other).exists()


def test_a_rename_survives_the_way_down_and_up(new_project: NewProject) -> None:
    project = new_project(1)
    git(project, "mv", "ops/one.py", "ops/mine.py")
    commit(project)
    down = climb(project, level=0)
    assert {"ops/one.py": "ops/mine.py"} == down.renamed
    assert "ops/mine.py (Rung's ops/one.py, renamed by you)" in messages.left_alone(down)
    assert ["Dockerfile"] == down.retired
    for level in (1, 2, 0):
        climb(project, level=level)
        assert not (project / "ops/one.py").exists()
        assert tiny.FILES["files/ops/one.py"] == (project / "ops/mine.py").read_text()

    assert {"ops/one.py": "ops/mine.py"} == climb(project, level=1).renamed
    edit(project, {"ops/mine.py": None})
    climb(project, level=0)
    climb(project, level=1)
    assert not (project / "ops/one.py").exists()


def test_a_file_of_your_own_that_you_deleted_stops_no_file_of_rungs(project: Path) -> None:
    for content in ("FROM mine\n", None):
        edit(project, {"Dockerfile": content})
    climb(project, level=1)

    assert tiny.FILES["files/Dockerfile"] == (project / "Dockerfile").read_text()


def test_a_folder_reached_through_a_link_that_git_does_not_keep_is_refused(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (project / "data").rmdir()
    (project / "data").symlink_to(tmp_path / "elsewhere")
    (project / ".git/info/exclude").write_text("/data\n")

    with pytest.raises(RungError, match="`data`"):
        plan(project, level=2)
    assert [] == list((tmp_path / "elsewhere").iterdir())


def test_requirements_go_by_name_and_your_bounds_win(new_project: NewProject) -> None:
    project = new_project(1)
    file = project / "pyproject.toml"
    text = file.read_text()
    for old, new in (
        ('    "mypy>=1.17",\n', '    # strict\n    "mypy==1.18",\n    "types-requests",\n'),
        ('    "polars>=1",\n', '    "polars>=1",\n    "requests",\n'),
        ("line-length = 100", "line-length = 120"),
        ("below this line.\n", 'below this line.\n\nplots = ["seaborn"]\n'),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    commit(project)
    for level in (2, 0, 1):
        climb(project, level=level)
        now = file.read_text()
        for mine in ('"mypy==1.18"', "# strict", "types-requests", '"requests"', "120", "seaborn"):
            assert mine in now
        assert ("rung-2" in now) == (level == 2)

    assert 1 == file.read_text().count("mypy")


def test_patterns_of_both_sides_stay_in_an_ignore_file(tmp_path: Path) -> None:
    made_from, project = tiny.with_template(tmp_path, level=0)
    edit(project, {".gitignore": "*.log\n/mine/\n"})
    tiny.release(made_from, "v0.2.0", {"files/.gitignore": "*.log\n/rungs/\n"})
    climb(project, "v0.2.0")

    assert {"*.log", "/mine/", "/rungs/"} == set((project / ".gitignore").read_text().split())


def test_a_file_that_a_newer_template_renames_takes_your_edit_along(tmp_path: Path) -> None:
    made_from, project = tiny.with_template(tmp_path, level=2)
    edit(project, {"ops/two.py": tiny.FILES["files/ops/two.py"] + "\nMINE = 1\n"})
    code = tiny.FILES["files/ops/two.py"].replace("return 1", "return 111")
    tiny.release(made_from, "v0.2.0", {"files/ops/two.py": None, "files/ops/three.py": code})
    climb(project, "v0.2.0")

    assert "MINE = 1" in (project / "ops/three.py").read_text()
    assert "return 111" in (project / "ops/three.py").read_text()
    assert not (project / "ops/two.py").exists()


class TestFilesThatATemplateListsAsMoved:
    """By levels/moved.yml, as git does not recognise their text."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        """Return a project; its template has since moved a file and rewritten most of its lines."""
        made_from, project = tiny.with_template(tmp_path, level=2)
        lines = [f"SETTING_{number} = {number}" for number in range(40)]
        code = "\n".join([*tiny.FILES["files/ops/two.py"].splitlines(), *lines]) + "\n"
        listed = "ops/two.py: settings/three.py\nops/never.py: settings/never.py\n"
        moved = {"files/ops/two.py": None, "files/settings/three.py": code}
        tiny.release(made_from, "v0.2.0", moved | {"levels/moved.yml": listed})
        return project

    def test_an_edit_follows(self, project: Path) -> None:
        old = project / "ops/two.py"
        old.write_text(old.read_text().replace("return 1\n", "return 111\n"))
        commit(project)
        climb(project, "v0.2.0")

        text = (project / "settings/three.py").read_text()
        assert "return 111" in text
        assert "SETTING_39 = 39" in text
        assert not old.exists()

    def test_a_deletion_follows(self, project: Path) -> None:
        git(project, "rm", "--quiet", "ops/two.py")
        commit(project)
        observed = climb(project, "v0.2.0")

        assert not (project / "settings/three.py").exists()
        assert ["settings/three.py"] == observed.gone

    def test_a_file_of_the_users_at_the_new_place_stays(self, project: Path) -> None:
        edit(project, {"settings/three.py": "MINE = 1\n"})
        observed = climb(project, "v0.2.0")

        assert "MINE = 1\n" == (project / "settings/three.py").read_text()
        assert ["settings/three.py"] == observed.own
        assert not (project / "ops/two.py").exists()


@pytest.fixture
def planting(tmp_path: Path) -> Path:
    """Return a project whose template has since released a file that is planted once."""
    made_from, project = tiny.with_template(tmp_path, level=0)
    yours = tiny.FILES["levels/yours.yml"].replace("README.md]", "README.md, pipeline/*.py]")
    planted = {"levels/yours.yml": yours, "files/pipeline/train.py": "STAGE = 1\n"}
    tiny.release(made_from, "v0.2.0", planted)
    return project


def test_a_file_of_the_users_that_a_newer_template_brings_is_planted_once(
    planting: Path, tmp_path: Path
) -> None:
    assert ["pipeline/train.py"] == climb(planting, "v0.2.0").added

    git(planting, "rm", "--quiet", "pipeline/train.py")
    commit(planting)
    changed = {"files/pipeline/train.py": "STAGE = 2\n", "files/Dockerfile": "FROM other\n"}
    tiny.release(tmp_path / "template", "v0.3.0", changed)
    climb(planting, "v0.3.0", level=1)

    assert not (planting / "pipeline/train.py").exists()
    assert "FROM other\n" == (planting / "Dockerfile").read_text()


def test_a_planted_file_that_the_user_has_already_is_theirs(planting: Path) -> None:
    edit(planting, {"pipeline/train.py": "MINE = 1\n"})
    climb(planting, "v0.2.0")

    assert "MINE = 1\n" == (planting / "pipeline/train.py").read_text()


def test_a_choice_that_a_newer_template_drops_is_refused(tmp_path: Path) -> None:
    made_from, project = tiny.with_template(tmp_path, level=0, ci="gitlab")
    questions = tiny.FILES["levels/questions.yml"].replace("[github, gitlab]", "[github, azure]")
    tiny.release(made_from, "v0.2.0", {"levels/questions.yml": questions})

    with pytest.raises(RungError, match="`ci`"):
        plan(project, "v0.2.0")


@pytest.mark.parametrize("undone_by", ["restore", "revert", "amended"])
def test_a_level_that_was_written_by_hand_and_undone_costs_no_file(
    new_project: NewProject, undone_by: str
) -> None:
    project = new_project(1)
    climb(project, level=2)
    edit(project, {"ops/two.py": None})
    climb(project, level=1)
    file = project / ".copier-answers.yml"
    answers = file.read_text()
    file.write_text(answers.replace("level: 1", "level: 2"))
    if undone_by == "amended":
        git(project, "commit", "--quiet", "--all", "--amend", "--no-edit")
    else:
        commit(project)
    if undone_by == "revert":
        git(project, "revert", "--no-edit", "HEAD")
    else:
        file.write_text(answers)
        commit(project)
    climbed = climb(project, level=2)

    assert "data/table.bin" in climbed.added
    if undone_by != "amended":  # which leaves no commit of rung 2 that still has its files
        assert ["ops/two.py"] == climbed.gone
    assert [] == plan(project, level=1).conflicts


def test_a_climb_that_an_earlier_rung_left_incomplete_is_completed(new_project: NewProject) -> None:
    """Rung 0.2 took files for deleted after a level had been written by hand and restored."""
    project = new_project(1)
    climb(project, level=2)
    climb(project, level=1)
    climb(project, level=2)
    git(project, "rm", "--quiet", "ops/two.py", "data/table.bin")
    git(project, "commit", "--quiet", "--amend", "--no-edit")
    git(project, "revert", "--no-edit", "HEAD")

    assert ["data/table.bin", "ops/two.py"] == climb(project, level=2).added


def test_a_climb_that_was_rolled_back_in_part_is_named_as_that_too(project: Path) -> None:
    climb(project, level=2)
    git(project, "rm", "--quiet", "ops/one.py", "ops/two.py", "Dockerfile", "data/table.bin")
    git(project, "checkout", "HEAD~1", "--", "RUNG.md", "ops", "pyproject.toml", "tasks.yml")
    commit(project)

    with pytest.raises(RungError, match=r"rolled back .*in part") as refused:
        plan(project, level=1)
    advice = re.search(r"`(git restore .*?)`", str(refused.value))
    assert advice is not None
    git(project, *advice[1].split()[1:])
    commit(project)
    assert [] == plan(project, level=1).conflicts


HANDS: list[tuple[int, tuple[str, Any, Any]]] = [
    *((level, ("level", level, written)) for level, written in permutations(range(3), 2)),
    (1, ("ci", "github", "gitlab")),
]
WAYS = list(product([False, True], repeat=2))  # of committing it: with an edited page, amended
# Each change in one of the ways; the slow suites have the others.
BY_HAND = [
    pytest.param(*hand, *way, marks=[] if number % len(WAYS) == place else [pytest.mark.slow])
    for number, hand in enumerate(HANDS)
    for place, way in enumerate(WAYS)
]


@pytest.mark.parametrize(("level", "change", "edited", "amended"), BY_HAND)
def test_answers_written_by_hand_are_refused_in_every_direction(
    new_project: NewProject, level: int, change: tuple[str, Any, Any], edited: bool, amended: bool
) -> None:
    project = new_project(level)
    if edited:
        edit(project, {"RUNG.md": f"# Rung {level}\n\nWith github.\n\nOurs.\n"})
    key, old, new = change
    file = project / ".copier-answers.yml"
    file.write_text(file.read_text().replace(f"{key}: {old}", f"{key}: {new}"))
    git(project, "add", "--all")
    how = ["--amend", "--no-edit"] if amended else ["-m", "By hand"]
    git(project, "commit", "--quiet", "--no-verify", *how)
    goals: list[dict[str, Any]] = [{"level": goal} for goal in (0, 1, 2)] + [{"ci": "gitlab"}]

    for goal in goals:
        with pytest.raises(RungError, match="by hand"):
            plan(project, **goal)
    file.write_text(file.read_text().replace(f"{key}: {new}", f"{key}: {old}"))
    commit(project)
    assert [] == plan(project, level=0).conflicts
