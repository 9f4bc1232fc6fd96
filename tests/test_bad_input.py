"""Bad input ends with code 2, words that say what to do, and nothing on disk."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rung.__main__ import main
from rung.errors import RungError
from rung.system import git
from tests import asking
from tests.climbing.test_apply import small_disk
from tests.command import RUNG, rung

Refuse = Callable[..., str]

# Names that a path, a shell, TOML, Jinja or a screen would take for something else.
HOSTILE = ["", " ", "..", "../up", "/etc/passwd", ".git", "a\n", "\n", "a\tb", "a\0b", 'a"b', "a'b"]
HOSTILE += ["$(touch x)", "{{ 1 }}", "{% raw %}", "{# a #}", "${{ github.token }}", "-rf", "a\\b"]
HOSTILE += ["a: b", "a#b", "<script>", "x" * 81, "Проект", "Ünïcode", "a\u202eb", "a\udcffb"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asking.repository(tmp_path_factory.mktemp("asking") / "template")


@pytest.fixture
def refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str], template: Path) -> Refuse:
    """Run `rung new` in this process, expect a refusal, and return its words."""

    def refused(*arguments: str, destination: str = "made") -> str:
        before = sorted(tmp_path.rglob("*"))
        fixed = ["--defaults", "--template", str(template)]
        code = main(["new", str(tmp_path / destination), *fixed, *arguments])
        text = capsys.readouterr().err

        assert code == 2, text
        assert "Traceback" not in text
        assert before == sorted(tmp_path.rglob("*"))
        return text.split("rung: ", 1)[1]

    return refused


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_project_name_is_refused(refuse: Refuse, name: str) -> None:
    assert "project_name" in refuse("-d", f"project_name={name}")


@pytest.mark.parametrize(
    "name", ["", "Upper", "1st", "a-b", "a.b", "../a", "class", "ops", "a\n", "é", "x" * 41, "__a"]
)
def test_a_package_name_that_cannot_be_imported_is_refused(refuse: Refuse, name: str) -> None:
    assert "package" in refuse("-d", f"package={name}")


@pytest.mark.parametrize("text", ["", "a\nb", "{{ 1 }}", "{% x %}", "{# x", "x" * 201, "a\x00"])
def test_a_description_that_cannot_be_written_down_is_refused(refuse: Refuse, text: str) -> None:
    assert "description" in refuse("-d", f"description={text}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--level", "5"], "level"),
        (["--level", "two"], "level"),
        (["-d", "level=9"], "`level` is not accepted: 9 is not one of 0, 1, 2, 3, 4."),
        (["-d", "leve=2"], "There is no question `leve`. Did you mean `level`? "),
        (["--use-case", "both"], "use_case"),
        (["-d", "colour=red"], "The questions are: use_case, project_name"),
        (["-d", "rung_0={}"], "no question `rung_0`"),
        (["-d", "release=2020-01-01T00:00:00Z"], "no question `release`"),
        (["-d", "data=tape"], "data"),
        (["-d", "_src_path=/tmp"], "no question `_src_path`"),
        (["-d", "project_name"], "-d QUESTION=ANSWER"),
        (["-d", "=x"], "-d QUESTION=ANSWER"),
        (["--template-version", "v99"], "no version `v99`"),
        (["--template-version", "--help"], "no version"),
        (["--template", "/nowhere"], "no template at /nowhere"),
        (["--template", "/etc"], "not a git repository"),
    ],
)
def test_an_answer_outside_the_choices_is_refused(
    refuse: Refuse, arguments: list[str], message: str
) -> None:
    joined = [
        f"{arguments[0]}={arguments[1]}" if arguments[0].startswith("--") else arguments[0],
        *(arguments[1:] if not arguments[0].startswith("--") else []),
    ]
    assert message in refuse(*joined)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be a mapping"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"a: [", "not YAML"),
        (b"a: \xff\xfe", "not YAML"),
        (b"a: !!python/object/apply:os.system ['true']\n", "not YAML"),
        (b"colour: red\n", "no question `colour`"),
        (b"level: {a: 1}\n", "level"),
        (b"project_name: null\n", "project_name"),
        (b"project_name: [a, b]\n", "project_name"),
        (b'project_name: "a\\nb"\n', "project_name"),
    ],
)
def test_a_file_that_holds_no_answers_is_refused(
    refuse: Refuse, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "answers.yml").write_bytes(content)

    assert message in refuse("--answers", str(tmp_path / "answers.yml"))


def test_an_answers_file_that_cannot_be_read_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    assert "No such file" in refuse("--answers", str(tmp_path / "none.yml"))
    assert "directory" in refuse("--answers", str(tmp_path))


def test_a_destination_that_is_taken_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/.hidden").touch()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere/at/all")

    assert "not empty" in refuse(destination="folder")
    assert "is a file" in refuse(destination="file")
    assert "cannot be written" in refuse(destination="file/below")
    assert "do not print" in refuse(destination="a\nb")
    assert "cannot be written" in refuse(destination="x" * 300)


def test_a_read_only_folder_is_refused(tmp_path: Path, copier_template: Path) -> None:
    """Root may write anywhere, so root gives up that right for this."""
    room = tmp_path / "room"
    room.mkdir(mode=0o555)
    before = []
    if os.geteuid() == 0:
        before = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
        if subprocess.run([*before, "true"], check=False).returncode:
            pytest.skip("this root cannot give up its right to write anywhere")
    made = str(room / "made")
    done = subprocess.run(
        [*before, RUNG, "new", made, "--defaults", "--template", str(copier_template)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert f"{made} cannot be written: Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == list(room.iterdir())


def test_without_a_terminal_the_questions_are_not_asked(
    tmp_path: Path, copier_template: Path
) -> None:
    done = rung("new", tmp_path / "made", "--template", copier_template, expect=2)

    assert "--defaults" in done.stderr
    assert [] == list(tmp_path.iterdir())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    yield from small_disk(tmp_path / "small", 64)


def test_a_full_disk_leaves_nothing(disk: Path, copier_template: Path) -> None:
    done = rung("new", disk / "made", "--defaults", "--template", copier_template, expect=2)

    assert "No space left" in done.stderr
    assert [] == list(disk.iterdir())


def test_git_never_asks_for_a_password(tmp_path: Path) -> None:
    address = "https://rung.invalid/none.git"
    done = subprocess.run(
        [RUNG, "new", str(tmp_path / "made"), "--defaults", "--template", address],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "could not be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == list(tmp_path.iterdir())


def test_an_environment_at_the_root_hides_no_pipe(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "src").mkdir()
    os.mkfifo(tmp_path / "src/.gitignore")

    with pytest.raises(RungError, match="is not a file, and git would read it"):
        git.root(tmp_path)


@pytest.mark.parametrize("below", ["", "docs/deep", "node_modules"])
def test_a_pipe_that_git_would_read_is_refused_before_git_waits_for_it(
    tmp_path: Path, below: str
) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / below / ".gitignore")

    with pytest.raises(RungError, match=r"\.gitignore is not a file, and git would read it"):
        git.root(tmp_path)
