"""The command line: its start, its help, its exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from rung import new
from rung.__main__ import main
from tests.command import git, rung
from tests.conftest import ROOT


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["new", "--help"], ["levels"], ["climb", "--help"]]
)
def test_a_command_that_renders_nothing_imports_no_copier(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom rung.__main__ import main\n"
        f"main({arguments!r})\n"
        "heavy = {'copier', 'plumbum', 'pydantic', 'jinja2', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_version_is_the_packages() -> None:
    assert "rung 0.1.0\n" == rung("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing command.\nSee `rung --help`."),
        (["rise"], "No such command `rise`.\nSee `rung --help`."),
        (["new"], "Missing argument `DEST`.\nSee `rung new --help`."),
        (["new", "a", "b"], "(b).\nSee `rung new --help`."),
        (["new", "a", "--leve=1"], "No such option: --leve"),
        (["climb"], "Missing option `--to`.\nSee `rung climb --help`."),
        (["climb", "--to", "high"], "`high` is not a valid int"),
        (["levels", "--mark"], "No such option: --mark"),
    ],
)
def test_a_command_that_cannot_be_read_is_refused(arguments: list[str], said: str) -> None:
    done = rung(*arguments)

    assert 2 == done.returncode
    assert done.stderr.startswith("rung: ")
    assert said in done.stderr
    assert "" == done.stdout


def test_options_may_stand_before_and_after_the_argument(tmp_path: Path) -> None:
    for arguments in (["--to", "1", str(tmp_path)], [str(tmp_path), "--to", "1"]):
        done = rung("climb", *arguments)

        assert f"{tmp_path} is no project of Rung" in done.stderr


def test_the_unexpected_ends_with_code_3_and_one_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(new, "new", broken)
    code = main(["new", str(tmp_path / "made"), "--defaults", "--template", str(ROOT)])
    words = capsys.readouterr().err

    assert 3 == code
    assert "RUNG_DEBUG=1" in words
    assert "Traceback" not in words


def test_the_ladder_can_be_cut_off(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{Path(sys.executable).with_name('rung')} levels | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "" == done.stderr


class TestClimb:
    """`rung climb`, for as long as it is Copier's update with care around it."""

    @pytest.fixture
    def born(self, tmp_path: Path, copier_template: Path) -> Path:
        folder = tmp_path / "born"
        done = rung("new", folder, "--defaults", "--level", "0", "--template", copier_template)
        assert done.returncode == 0, done.stderr
        return folder

    def test_it_says_what_changed_and_commits_nothing(
        self, born: Path, copier_template: Path
    ) -> None:
        before = git(born, "rev-parse", "HEAD")
        done = rung("climb", born, "--to", "1", "--template", copier_template)

        assert done.returncode == 0, done.stderr
        assert "~ .copier-answers.yml" in done.stdout
        assert "+ " in done.stdout
        assert before == git(born, "rev-parse", "HEAD")

    def test_it_goes_down_again(self, born: Path, copier_template: Path) -> None:
        before = git(born, "rev-parse", "HEAD^{tree}")
        for level in ("2", "0"):
            done = rung("climb", born, "--to", level, "--template", copier_template)
            assert done.returncode == 0, done.stderr
            git(born, "add", "--all")
            git(born, "commit", "--quiet", "--no-verify", "-m", level)

        assert before == git(born, "rev-parse", "HEAD^{tree}")

    def test_the_rung_it_stands_on_is_no_climb(self, born: Path, copier_template: Path) -> None:
        done = rung("climb", born, "--to", "0", "--template", copier_template)

        assert (0, "") == (done.returncode, git(born, "status", "--porcelain"))
        assert "already stands on rung 0" in done.stdout

    def test_conflicts_end_with_code_1_and_name_the_files(
        self, born: Path, copier_template: Path
    ) -> None:
        tasks = born / "ops/tasks.toml"
        tasks.write_text(
            "".join(f"# mine\n{line}" for line in tasks.read_text().splitlines(keepends=True))
        )
        git(born, "commit", "--quiet", "--no-verify", "-am", "Edit what Rung keeps")
        done = rung("climb", born, "--to", "2", "--template", copier_template)

        assert 1 == done.returncode
        assert "ops/tasks.toml" in done.stderr

    @pytest.mark.parametrize("level", ["-1", "4", "7"])
    def test_a_rung_that_is_not_offered_is_refused(
        self, born: Path, copier_template: Path, level: str
    ) -> None:
        done = rung("climb", born, f"--to={level}", "--template", copier_template)

        assert 2 == done.returncode
        assert f"There is no rung {level}" in done.stderr
        assert "" == git(born, "status", "--porcelain")

    @pytest.mark.parametrize(
        ("hide", "said"),
        [
            ("echo x > new-file", "not committed"),
            ("echo x >> README.md", "not committed"),
            ("git config status.showUntrackedFiles no; echo x > new-file", "not committed"),
            ("git update-index --assume-unchanged README.md; echo x >> README.md", "overlook"),
            ("git update-index --skip-worktree README.md; echo x >> README.md", "overlook"),
        ],
    )
    def test_work_that_is_not_in_a_commit_is_never_touched(
        self, born: Path, copier_template: Path, hide: str, said: str
    ) -> None:
        subprocess.run(hide, shell=True, cwd=born, check=True)
        before = (born / "README.md").read_bytes()
        done = rung("climb", born, "--to", "1", "--template", copier_template)

        assert 2 == done.returncode
        assert said in done.stderr
        assert before == (born / "README.md").read_bytes()

    def test_a_folder_that_is_no_project_is_refused(self, tmp_path: Path) -> None:
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
        self, born: Path, address: str, said: str
    ) -> None:
        file = born / ".copier-answers.yml"
        recorded = yaml_with(file.read_text("utf-8"), address)
        file.write_text(recorded, "utf-8")
        git(born, "commit", "--quiet", "--no-verify", "-am", "Point elsewhere")
        done = rung("climb", born, "--to", "1")

        assert 2 == done.returncode
        assert said in done.stderr
        assert "" == git(born, "status", "--porcelain")

    def test_a_template_of_somebody_elses_is_followed_only_when_named(self, born: Path) -> None:
        done = rung("climb", born, "--to", "1")

        assert 2 == done.returncode
        assert "--template" in done.stderr


def yaml_with(text: str, address: str) -> str:
    """Return the answers file with another address of the template."""
    lines = [line for line in text.splitlines() if not line.startswith("_src_path")]
    return "\n".join([*lines, f"_src_path: {address!r}"]) + "\n"
