"""`rung plan`, `rung climb`, `rung update`: words, exit codes, refusals."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rung.core.merging.conflict import NO_FILES_CHANGED
from tests.command import git, rung
from tests.conftest import files_of

SHELL = """\
commit() { git add --all && git commit --quiet --no-verify --message ours; }
ignore() { echo "$1" >> .gitignore && git rm -r -q --cached --ignore-unmatch "$1" && commit; }
merge() {
  git checkout -q -b side && git commit -q --allow-empty -m side && git checkout -q main
  git commit -q --allow-empty -m more && git merge -q --no-commit --no-ff side
}
mine() { echo x > mine && git config core.excludesFile .git/mine && echo mine > .git/mine; }
answers() { sed -i "$1" .copier-answers.yml && commit; }
"""
MARKERS = r"printf '<<<<<<< a\nb\n=======\nc\n>>>>>>> d\n' >> RUNG.md"


def prepare(folder: Path, script: str) -> None:
    """Run a script in a folder; `commit` and `ignore PATH` are commands in it."""
    subprocess.run(f"set -e\n{SHELL}\n{script}", shell=True, cwd=folder, check=True)


@pytest.fixture(scope="module")
def on_rung_0(tmp_path_factory: pytest.TempPathFactory, copier_template: Path) -> Path:
    folder = tmp_path_factory.mktemp("new") / "new"
    answers = ("--defaults", "--level", "0", "-d", "project_name=Late flights")
    rung("new", folder, *answers, "--template", copier_template, expect=0)
    return folder


@pytest.fixture
def new_project(tmp_path: Path, on_rung_0: Path) -> Path:
    return shutil.copytree(on_rung_0, tmp_path / "new")


Climb = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def climb(new_project: Path, copier_template: Path) -> Climb:
    """Run `rung climb` on the project without its checks."""
    options = ["--template", str(copier_template), "--no-verify"]
    return lambda *arguments: rung("climb", new_project, *options, *arguments)


def test_it_says_what_changed_and_makes_one_commit(new_project: Path, climb: Climb) -> None:
    before = git(new_project, "rev-parse", "HEAD")
    done = climb("--to", "1")

    assert done.returncode == 0, done.stderr
    assert "~ .copier-answers.yml" in done.stdout
    assert "+ Dockerfile" in done.stdout
    assert before == git(new_project, "rev-parse", "HEAD~1")
    assert "Climb to rung 1: Tested" == git(new_project, "log", "-1", "--format=%s")
    assert "" == git(new_project, "status", "--porcelain")


def test_the_plan_tells_a_team_what_is_one_persons(
    new_project: Path, copier_template: Path
) -> None:
    options = ("--template", copier_template, "--to", "2", "-d")
    output, alone, served = (
        " ".join(rung("plan", new_project, *options, answer).stdout.split())
        for answer in ("team_size=team", "team_size=one", "tracking=server")
    )

    for what in ("`dvc_remote/` is a folder on one person's machine", "in `mlflow.db` are on"):
        assert what in output
        assert what not in alone
    assert "* a tracking server that every member and CI can reach" in served


def test_without_a_rung_it_climbs_to_the_next_one(new_project: Path, climb: Climb) -> None:
    assert "From rung 0 to rung 1" in climb().stdout


def test_it_goes_down_again(new_project: Path, climb: Climb) -> None:
    before = git(new_project, "rev-parse", "HEAD")
    for level in ("2", "0"):
        assert 0 == climb("--to", level).returncode

    # What was answered on the way stays recorded.
    assert ".copier-answers.yml" == git(new_project, "diff", "--name-only", before, "HEAD")
    assert "Come down to rung 0" == git(new_project, "log", "-1", "--format=%s")


def test_a_climb_to_the_current_rung_is_refused(new_project: Path, climb: Climb) -> None:
    before = git(new_project, "rev-parse", "HEAD")
    done = climb("--to", "0")

    assert (0, before) == (done.returncode, git(new_project, "rev-parse", "HEAD"))
    assert "is already on rung 0" in done.stdout


def test_a_changed_answer_goes_the_same_way(new_project: Path, climb: Climb) -> None:
    climb("--to", "1")
    own = new_project / ".github/workflows/mine.yml"
    own.write_text("on: [push]\n", "utf-8")
    git(new_project, "add", ".")
    git(new_project, "commit", "--quiet", "--no-verify", "-m", "Add a workflow of our own")
    done = climb("-d", "ci=gitlab")

    assert 0 == done.returncode, done.stderr
    assert "Change answers: ci=gitlab" == git(new_project, "log", "-1", "--format=%s")
    assert (new_project / ".gitlab-ci.yml").exists()
    assert ["mine.yml"] == [path.name for path in own.parent.iterdir()]


OURS, RUNGS = (
    'evaluate.cmd = "python ours.py"',
    'evaluate.cmd = "rung-ops stage pipeline/evaluate.py"',
)
LATER = 'evaluate.cmd = "rung-ops dvc repro evaluate"'


@pytest.fixture
def in_conflict(new_project: Path) -> Path:
    file = new_project / "ops/tasks.toml"
    file.write_text(file.read_text("utf-8").replace(RUNGS, OURS), "utf-8")
    git(new_project, "commit", "--quiet", "--no-verify", "-am", "Edit what Rung keeps")
    return new_project


def test_conflicts_end_with_code_1_and_nothing_is_written(in_conflict: Path, climb: Climb) -> None:
    before = files_of(in_conflict)
    head = git(in_conflict, "rev-parse", "HEAD")
    done = climb("--to", "2")

    assert 1 == done.returncode
    assert f"rung: {NO_FILES_CHANGED}\n" in done.stderr
    assert "ops/tasks.toml: you and Rung changed the same lines" in done.stderr
    assert f"yours | {OURS}" in done.stderr
    assert f"rung  | {LATER}" in done.stderr
    assert (before, head) == (files_of(in_conflict), git(in_conflict, "rev-parse", "HEAD"))


def test_conflicts_go_to_a_branch_and_are_finished_as_it_says(
    in_conflict: Path, climb: Climb
) -> None:
    before = files_of(in_conflict)
    done = climb("--to", "2", "--branch", "up")

    assert 1 == done.returncode, done.stderr
    assert (before, "main") == (files_of(in_conflict), git(in_conflict, "branch", "--show-current"))
    marked = git(in_conflict, "show", "up:ops/tasks.toml")
    assert f"<<<<<<< yours\n{OURS}\n=======\n{LATER}\n" in marked
    prepare(in_conflict, "git switch -q up; sed -i '/^=======/,/^>>>>>>>/d' ops/tasks.toml")
    prepare(in_conflict, "sed -i '/^<<<<<<< yours/d' ops/tasks.toml")
    prepare(in_conflict, "git add --all && git commit --quiet --no-verify --amend --no-edit")
    prepare(in_conflict, "git switch -q - && git merge -q --ff-only up && git branch -q -d up")

    assert "is already on rung 2" in climb("--to", "2").stdout
    text = (in_conflict / "ops/tasks.toml").read_text("utf-8")
    assert OURS in text and LATER not in text


def test_a_climb_that_is_given_up_leaves_nothing(in_conflict: Path, climb: Climb) -> None:
    climb("--to", "2", "--branch", "up")
    git(in_conflict, "branch", "-D", "up")

    assert "refs/heads/main" == git(in_conflict, "for-each-ref", "--format=%(refname)")
    assert "already" in (climb("--to", "2", "--branch", "main")).stderr
    assert 2 == climb("--to", "2", "--branch", "a..b").returncode


@pytest.mark.parametrize("level", ["-1", "5", "7"])
def test_a_rung_that_does_not_exist_is_refused(
    new_project: Path, copier_template: Path, level: str
) -> None:
    done = rung("climb", new_project, f"--to={level}", "--template", copier_template, expect=2)

    assert f"There is no rung {level}" in done.stderr
    assert "" == git(new_project, "status", "--porcelain")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo x > new-file", "not committed"),
        ("echo x >> README.md", "not committed"),
        ("git config status.showUntrackedFiles no; echo x > new-file", "not committed"),
        ("ignore Dockerfile; mkdir Dockerfile; touch Dockerfile/x", "`Dockerfile`"),
        ("ignore .github; echo mine > .github", "`.github`"),
        (f"{MARKERS}; commit", "`RUNG.md`"),
        ("touch RUNG.md.rej; commit", "`RUNG.md.rej`"),
        ("ignore '*.rej'; touch RUNG.md.rej", "`RUNG.md.rej`"),
        ("merge", "A merge is under way"),
        ("git mv src/late_flights src/flights; commit", "src/late_flights is not there"),
        ("rm -rf .git", "not in a git repository"),
        ("rm -rf .git; git init -q", "not committed"),
        ("git config remote.a.b.promisor true", "  git config --unset-all remote.a.b.promisor"),
        (
            "git status -s; git sparse-checkout set --no-cone '/*' '!/docs/'; test ! -e docs",
            "  git sparse-checkout disable\n",
        ),
        ("answers 's/^level: 0/level: zero/'", "has no `level`"),
        ("answers 's/^level: 0/level: 2/'", "Either it was changed by hand"),
        ("answers 's/^data: .*/data: tapes/'", "`data` is not accepted"),
        ("answers 's/^package: .*/package: ..\\/..\\/etc/'", "is not there"),
        ("answers '$aextra: &a [1, 2]\\nmore: *a'", "alias or anchor"),
        ("answers '$aextra: [[[[[[[1]]]]]]]'", "deeper than answers are"),
        ("head -c 70000 /dev/zero | tr '\\0' '#' >> .copier-answers.yml; commit", "larger than"),
        ("printf 'a: [' > .copier-answers.yml; commit", "cannot be read"),
        ("printf '%s\\n' '- a' > .copier-answers.yml; commit", "holds no answers"),
        ("rm .copier-answers.yml; commit", "not a Rung project"),
        ("ignore .copier-answers.yml", "Git does not track .copier-answers.yml"),
    ],
)
def test_what_git_could_not_bring_back_is_never_touched(
    new_project: Path, copier_template: Path, script: str, message: str
) -> None:
    prepare(new_project, script)
    before = files_of(new_project)
    done = rung(
        "climb", new_project, "--to", "1", "--no-verify", "--template", copier_template, expect=2
    )

    assert message in done.stderr
    assert before == files_of(new_project)


@pytest.mark.parametrize(
    "script",
    [
        "mine",
        "ignore Dockerfile; echo mine > Dockerfile",
        "ignore ops/train.py; echo mine >> ops/train.py",
        "ignore data/sample/flights.parquet",
    ],
)
def test_what_git_ignores_stays_as_it_is(new_project: Path, climb: Climb, script: str) -> None:
    prepare(new_project, script)
    ignored = git(
        new_project, "ls-files", "--others", "--ignored", "--exclude-standard"
    ).splitlines()
    before = {path: (new_project / path).read_bytes() for path in ignored}
    for level in ("1", "0"):
        done = climb("--to", level)
        assert 0 == done.returncode, done.stderr

        assert before == {path: (new_project / path).read_bytes() for path in before}


def test_a_file_that_is_left_out_is_named(new_project: Path, climb: Climb) -> None:
    prepare(new_project, "ignore Dockerfile; echo mine > Dockerfile")

    assert "Dockerfile (an untracked file is there" in climb("--to", "1").stdout


def test_the_lock_file_is_made_and_added_to_the_commit(new_project: Path, climb: Climb) -> None:
    text = climb("--to", "1").stdout

    assert 0 < text.index("uv sync") < text.index("uv run poe check") < text.index("git add")


def test_the_repository_of_a_project_is_found_by_where_it_is_not_by_how_its_path_is_written(
    new_project: Path,
) -> None:
    """The folder that the command is typed in may be a repository of its own, as a clone of Rung is."""
    shutil.rmtree(new_project / ".git")
    clone = new_project.parent / "clone"
    clone.mkdir()
    git(clone, "init", "-q")
    (clone / "link").symlink_to(new_project)

    for path in ("../new", "link"):
        done = rung("plan", path, cwd=clone, expect=2)

        assert "not in a git repository" in done.stderr


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://example.invalid/evil/template", "not the one of this Rung"),
        ("../template", "relative path"),
        ("/nowhere/template", "no longer exists"),
        ("ext::sh -c touch% /tmp/evil", "relative path"),
    ],
)
def test_a_template_that_no_one_vouches_for_is_not_followed(
    new_project: Path, address: str, message: str
) -> None:
    file = new_project / ".copier-answers.yml"
    recorded = yaml_with(file.read_text("utf-8"), address)
    file.write_text(recorded, "utf-8")
    git(new_project, "commit", "--quiet", "--no-verify", "-am", "Point elsewhere")
    done = rung("climb", new_project, "--to", "1", expect=2)

    assert message in done.stderr
    assert "" == git(new_project, "status", "--porcelain")


def test_a_template_of_somebody_elses_is_followed_once_it_was_named(
    new_project: Path, copier_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNG_CONFIG_DIR", str(tmp_path / "config"))
    other = rung("plan", new_project, "--to", "1", "--template", "/some/other")
    done = rung("plan", new_project, "--to", "1")

    assert (2, 2) == (other.returncode, done.returncode)
    assert "--template" in done.stderr
    assert not (tmp_path / "config").exists()

    named = rung("plan", new_project, "--to", "1", "--template", copier_template)
    again = rung("plan", new_project, "--to", "1")

    assert (0, 0) == (named.returncode, again.returncode)
    assert f"Trusted from now on, as {tmp_path / 'config/templates.txt'} says" in named.stderr
    assert "Trusted" not in again.stderr


def test_a_file_of_trusted_templates_that_cannot_be_written_stops_nothing(
    new_project: Path, copier_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNG_CONFIG_DIR", str(tmp_path / "file"))

    done = rung("plan", new_project, "--to", "1", "--template", copier_template, expect=0)

    assert "cannot be written (File exists): name the template again next time." in done.stderr


def yaml_with(text: str, address: str) -> str:
    """Return the answers file with another address of the template."""
    lines = [line for line in text.splitlines() if not line.startswith("_src_path")]
    return "\n".join([*lines, f"_src_path: {address!r}"]) + "\n"


def test_leaving_governance_is_said_first_and_asked_for(
    tmp_path: Path, copier_template: Path
) -> None:
    trusted = ["--template", str(copier_template)]
    folder = tmp_path / "governed"
    made = ["--defaults", "--use-case", "governance", "--team-size", "team", "--level", "2"]
    assert rung("new", folder, *made, *trusted).returncode == 0
    before, leave = git(folder, "rev-parse", "HEAD"), ["-d", "use_case=velocity"]

    planned = rung("plan", folder, *leave, *trusted)
    assert planned.stdout.startswith("This leaves governance. No version needs a validator's")
    refused = rung("climb", folder, *leave, *trusted, "--no-verify")
    assert (refused.returncode, "`--leave-governance`" in refused.stderr) == (2, True)
    assert git(folder, "rev-parse", "HEAD") == before
    branch = rung("climb", folder, *leave, *trusted, "--branch", "left")
    assert (branch.returncode, git(folder, "branch", "--list", "left")) == (2, "")

    rung("climb", folder, *leave, *trusted, "--no-verify", "--leave-governance", expect=0)
    assert not (folder / "governance").exists()
