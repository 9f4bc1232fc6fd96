"""`rung climb`: Copier's update with care around it."""

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from rung import project
from rung.__main__ import main
from rung.errors import RungError
from tests.command import git, rung, running
from tests.conftest import files_of

SHELL = """\
commit() { git add --all && git commit --quiet --no-verify --message ours; }
ignore() { echo "$1" >> .gitignore && git rm -r -q --cached --ignore-unmatch "$1" && commit; }
merge() {
  git checkout -q -b side && git commit -q --allow-empty -m side && git checkout -q main
  git commit -q --allow-empty -m more && git merge -q --no-commit --no-ff side
}
mine() { echo x > mine && git config core.excludesFile .git/mine && echo mine > .git/mine; }
"""
MARKERS = r"printf '<<<<<<< a\nb\n=======\nc\n>>>>>>> d\n' >> RUNG.md"


def prepare(folder: Path, script: str) -> None:
    """Run a script in a folder; `commit` and `ignore PATH` are commands in it."""
    subprocess.run(f"set -e\n{SHELL}\n{script}", shell=True, cwd=folder, check=True)


@pytest.fixture(scope="module")
def on_rung_0(tmp_path_factory: pytest.TempPathFactory, copier_template: Path) -> Path:
    folder = tmp_path_factory.mktemp("born") / "born"
    done = rung("new", folder, "--defaults", "--level", "0", "--template", copier_template)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def born(tmp_path: Path, on_rung_0: Path) -> Path:
    return shutil.copytree(on_rung_0, tmp_path / "born")


def test_it_says_what_changed_and_commits_nothing(born: Path, copier_template: Path) -> None:
    before = git(born, "rev-parse", "HEAD")
    done = rung("climb", born, "--to", "1", "--template", copier_template)

    assert done.returncode == 0, done.stderr
    assert "~ .copier-answers.yml" in done.stdout
    assert "+ " in done.stdout
    assert before == git(born, "rev-parse", "HEAD")


def test_it_goes_down_again(born: Path, copier_template: Path) -> None:
    before = git(born, "rev-parse", "HEAD^{tree}")
    for level in ("2", "0"):
        done = rung("climb", born, "--to", level, "--template", copier_template)
        assert done.returncode == 0, done.stderr
        git(born, "add", "--all")
        git(born, "commit", "--quiet", "--no-verify", "-m", level)

    assert before == git(born, "rev-parse", "HEAD^{tree}")


def test_the_rung_it_stands_on_is_no_climb(born: Path, copier_template: Path) -> None:
    done = rung("climb", born, "--to", "0", "--template", copier_template)

    assert (0, "") == (done.returncode, git(born, "status", "--porcelain"))
    assert "already stands on rung 0" in done.stdout


def test_conflicts_end_with_code_1_and_name_the_files(born: Path, copier_template: Path) -> None:
    tasks = born / "ops/tasks.toml"
    tasks.write_text(
        "".join(f"# mine\n{line}" for line in tasks.read_text().splitlines(keepends=True))
    )
    git(born, "commit", "--quiet", "--no-verify", "-am", "Edit what Rung keeps")
    done = rung("climb", born, "--to", "2", "--template", copier_template)

    assert 1 == done.returncode
    assert "ops/tasks.toml" in done.stderr


@pytest.mark.parametrize("level", ["-1", "5", "7"])
def test_a_rung_that_does_not_exist_is_refused(
    born: Path, copier_template: Path, level: str
) -> None:
    done = rung("climb", born, f"--to={level}", "--template", copier_template)

    assert 2 == done.returncode
    assert f"There is no rung {level}" in done.stderr
    assert "" == git(born, "status", "--porcelain")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo x > new-file", "not committed"),
        ("echo x >> README.md", "not committed"),
        ("git config status.showUntrackedFiles no; echo x > new-file", "not committed"),
        ("mine", "Only your own ignore file hides `mine`"),
        ("git update-index --assume-unchanged README.md; echo x >> README.md", "overlook"),
        ("git update-index --skip-worktree README.md; echo x >> README.md", "overlook"),
        ("ignore Dockerfile; echo mine > Dockerfile", "`Dockerfile`"),
        ("ignore Dockerfile; mkdir Dockerfile; touch Dockerfile/x", "`Dockerfile`"),
        ("ignore .github; echo mine > .github", "`.github`"),
        ("ignore ops/train.py", "`ops/train.py`"),
        ("mkdir elsewhere; touch elsewhere/x; ln -s elsewhere .github; commit", "`.github`"),
        (f"{MARKERS}; commit", "`RUNG.md`"),
        ("touch RUNG.md.rej; commit", "`RUNG.md.rej`"),
        ("ignore '*.rej'; touch RUNG.md.rej", "`RUNG.md.rej`"),
        ("merge", "A merge is under way"),
        ("git mv src/late_flights src/flights; commit", "src/late_flights is not there"),
    ],
)
def test_what_git_could_not_bring_back_is_never_touched(
    born: Path, copier_template: Path, script: str, said: str
) -> None:
    prepare(born, script)
    before = files_of(born)
    done = rung("climb", born, "--to", "1", "--template", copier_template)

    assert 2 == done.returncode, done.stdout
    assert said in done.stderr
    assert before == files_of(born)


def test_a_file_of_a_higher_rung_that_git_ignores_survives_the_way_down(
    born: Path, copier_template: Path
) -> None:
    assert not rung("climb", born, "--to", "1", "--template", copier_template).returncode
    prepare(born, "ignore Dockerfile; echo mine > Dockerfile")
    done = rung("climb", born, "--to", "0", "--template", copier_template)

    assert 2 == done.returncode
    assert "`Dockerfile`" in done.stderr
    assert "mine\n" == (born / "Dockerfile").read_text()


def test_files_of_your_own_may_be_ignored(born: Path, copier_template: Path) -> None:
    data = "data/sample/flights.parquet"
    prepare(born, f"ignore {data}")
    before = (born / data).read_bytes()
    done = rung("climb", born, "--to", "1", "--template", copier_template)

    assert 0 == done.returncode, done.stderr
    assert before == (born / data).read_bytes()


def test_a_file_that_git_ignores_is_named_when_it_comes(born: Path, copier_template: Path) -> None:
    prepare(born, "ignore Dockerfile")
    done = rung("climb", born, "--to", "1", "--template", copier_template)

    assert "  + Dockerfile\n" in done.stdout
    assert "`git add --force Dockerfile`" in done.stdout


def test_the_lock_file_is_made_before_anything_is_added(born: Path, copier_template: Path) -> None:
    words = rung("climb", born, "--to", "1", "--template", copier_template).stdout

    assert 0 < words.index("uv sync && uv run poe check") < words.index("git add")


@pytest.mark.parametrize(
    ("problem", "code"),
    [(RungError("the disk is full"), 1), (RuntimeError("a bug"), 3)],
    ids=lambda value: type(value).__name__,
)
def test_a_climb_that_fails_midway_leaves_the_project_as_it_was(
    born: Path,
    copier_template: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: BaseException,
    code: int,
) -> None:
    prepare(born, "ignore Dockerfile")
    before, update = files_of(born), project.update

    def failing(*arguments: Any) -> None:
        update(*arguments)
        assert before != files_of(born)
        raise problem

    monkeypatch.setattr(project, "update", failing)
    ended = main(["climb", str(born), "--to", "2", "--template", str(copier_template)])

    assert (code, before) == (ended, files_of(born))
    assert "" == git(born, "status", "--porcelain")
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_climb_that_is_stopped_leaves_the_project_as_it_was(
    born: Path, copier_template: Path, sent: signal.Signals
) -> None:
    before = files_of(born)
    child = running("climb", born, "--to", "2", "--template", copier_template)
    deadline = time.monotonic() + 60
    while not (born / "dvc.yaml").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    child.send_signal(sent)
    _, words = child.communicate(timeout=60)

    assert (130, before) == (child.returncode, files_of(born)), words
    assert "" == git(born, "status", "--porcelain")


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    done = rung("climb", tmp_path, "--to", "1")

    assert 2 == done.returncode
    assert "no project of Rung" in done.stderr


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://example.invalid/evil/template", "not the one of this Rung"),
        ("../template", "relative path"),
        ("/nowhere/template", "not there any more"),
        ("ext::sh -c touch% /tmp/evil", "relative path"),
    ],
)
def test_a_template_that_nobody_vouches_for_is_not_followed(
    born: Path, address: str, said: str
) -> None:
    file = born / ".copier-answers.yml"
    recorded = yaml_with(file.read_text("utf-8"), address)
    file.write_text(recorded, "utf-8")
    git(born, "commit", "--quiet", "--no-verify", "-am", "Point elsewhere")
    done = rung("climb", born, "--to", "1")

    assert 2 == done.returncode
    assert said in done.stderr
    assert "" == git(born, "status", "--porcelain")


def test_a_template_of_somebody_elses_is_followed_only_when_named(born: Path) -> None:
    done = rung("climb", born, "--to", "1")

    assert 2 == done.returncode
    assert "--template" in done.stderr


def yaml_with(text: str, address: str) -> str:
    """Return the answers file with another address of the template."""
    lines = [line for line in text.splitlines() if not line.startswith("_src_path")]
    return "\n".join([*lines, f"_src_path: {address!r}"]) + "\n"
