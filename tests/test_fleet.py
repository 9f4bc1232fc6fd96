"""`rung fleet` puts each repository on a line of its own, whatever is wrong with one of them."""

import csv
import io
import json
import os
import pty
import signal
import subprocess
import tempfile
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from rung.check.fleet import repositories, table, upkeep, workers
from rung.check.fleet.reviews import Row
from rung.errors import RungError
from rung.system.process import stopped_like_ctrl_c
from tests.command import RUNG, git, init, rung, running, stopped
from tests.repositories import ML, plant
from tests.test_check_command import HOUSE, TESTED, Tags

ANSWERS = {".copier-answers.yml": "_commit: v0.3.1\n_src_path: https://example.org/t\nlevel: 1\n"}


def fleet(folder: Path) -> Path:
    """Write a fleet out: two that reach rungs, one that is broken, one without a model."""
    plant(folder / "late", TESTED | ANSWERS)
    plant(
        folder / "team/early", ML | {"train.py": "from sklearn import svm\nsvm.SVC().fit(x, y)\n"}
    )
    plant(folder / "broken", ML | {"rung.toml": "game = ["})
    plant(folder / "website", {".git/HEAD": "ref: refs/heads/main\n", "index.html": "<p>Hello\n"})
    return folder


def names(where: Path) -> list[str]:
    return [one.name for one in repositories.listed(where)]


def test_json_gives_the_rung_of_each_or_why_not(tmp_path: Path) -> None:
    done = rung("fleet", fleet(tmp_path), "--format", "json", "--seconds", "60", expect=0)
    data = json.loads(done.stdout)
    rows = {row["repository"]: row for row in data["repositories"]}

    assert ["broken", "late", "team/early", "website"] == list(rows)
    late = rows["late"]
    assert (1, "velocity", "v0.3.1") == (late["level"], late["game"], late["template_version"])
    assert "orchestrated-pipeline" in late["blockers"]
    checked = json.loads(rung("check", tmp_path / "late", "--format", "json").stdout)
    assert checked["blockers"][0]["capability"] == late["blockers"][0] == late["oldest_blocker"]
    assert 0 == rows["team/early"]["level"]
    assert rows["broken"]["level"] is None
    assert "rung.toml does not parse" in rows["broken"]["error"]
    assert not rows["website"]["machine_learning"]
    assert {"0": 2, "1": 1} == data["rungs"]
    assert 1 == data["not_read"]


def test_the_table_has_a_line_for_each_and_the_sums(tmp_path: Path) -> None:
    lines = rung("fleet", fleet(tmp_path), "--seconds", "60").stdout.splitlines()

    assert ["Repository", "Rung", "Use", "case", "Template", "Oldest", "blocker"] == lines[
        0
    ].split()
    assert lines[2].startswith("late        1 Tested  velocity  v0.3.1    ")
    assert "no machine-learning package or import was found" in lines[4]
    assert "4 repositories: 2 on rung 0, 1 on rung 1, 1 not read." == lines[-1]


@pytest.mark.parametrize(
    ("broken", "least", "code"), [(True, "0", 0), (True, "1", 1), (False, "1", 0), (False, "2", 1)]
)
def test_one_that_is_too_low_or_unreadable_makes_the_answer_no(
    tmp_path: Path, broken: bool, least: str, code: int
) -> None:
    plant(tmp_path / "late", TESTED)
    if broken:
        plant(tmp_path / "broken", ML | {"rung.toml": "game = ["})

    assert code == rung("fleet", tmp_path, "--min-level", least, "--seconds", "60").returncode


def test_a_game_is_played_by_all(tmp_path: Path) -> None:
    done = rung("fleet", fleet(tmp_path), "--game", "governance", "--format", "json")

    games = {row["game"] for row in json.loads(done.stdout)["repositories"] if not row["error"]}
    assert {"governance"} == games


def test_a_fleet_is_held_to_the_capabilities_and_the_policy_of_its_house(tmp_path: Path) -> None:
    waiver = '[waivers.{}]\nreason = "none yet"\nuntil = 2999-06-30\n'
    plant(tmp_path / "late", ML | {"rung.toml": waiver.format("unit-tests")})
    plant(tmp_path / "new", ML | {"rung.toml": waiver.format("catalogue-entry")})

    def shown(form: str) -> str:
        return rung("fleet", tmp_path, "--capabilities", HOUSE, "--format", form, expect=0).stdout

    late, new = json.loads(shown("json"))["repositories"]
    assert (late["waivers"], list(late["against_policy"])) == ({}, ["unit-tests"])
    assert list(new["against_policy"]) == ["catalogue-entry"]
    for form in ("text", "csv", "html"):
        why = unescape(shown(form))
        assert "unit-tests, waiver: your organisation's policy allows none. Remove it" in why, form


def test_a_spreadsheet_runs_no_name(tmp_path: Path) -> None:
    plant(tmp_path / "=HYPERLINK(A1)", ML)
    done = rung("fleet", tmp_path, "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))

    assert "'=HYPERLINK(A1)" == row["repository"]
    assert "0" == row["level"]
    later = ["oldest_blocker", "blockers", "behind", "last_climb", "owner", "waivers"]
    assert ["error", *later, "against_policy"] == list(row)[-8:], (
        "columns of before stay where they were"
    )


@pytest.mark.parametrize("form", ["text", "json", "csv", "html"])
def test_no_name_or_error_reaches_a_terminal_as_control_characters(
    tmp_path: Path, form: str
) -> None:
    for name in (b"a\nb", b"\x1b[31mred", b"\xff\xfe", "\u202eyp".encode()):
        folder = Path(os.fsdecode(bytes(tmp_path) + b"/" + name))
        plant(folder, ML | {".copier-answers.yml": '_commit: "v\\e[31m1"\n'})
    plant(tmp_path / "bad", ML | {"rung.toml": '[waivers."\\u001b[31m"]\n'})
    done = subprocess.run(
        [RUNG, "fleet", tmp_path, "--format", form], capture_output=True, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert not set(done.stdout.decode()) & {"\x1b", "\u202e", "\r"}
    assert b"red" in done.stdout


def test_the_page_is_self_contained_and_escapes_names() -> None:
    rows = [
        Row("<script>a</script>", "/a", 1, "Tested", "velocity", "v1", ("unit-tests",), True),
        Row("b", "/b", error='<img src="x">'),
    ]
    page = table.page(rows, "a & b")
    tags = Tags()
    tags.feed(page)

    assert not tags.open
    assert not {"script", "img", "link"} & tags.tags
    assert all(f'role="columnheader">{title}</th>' in page for title in table.HEAD)
    assert "&lt;script&gt;" in page
    assert "a &amp; b" in page


def test_a_clone_is_found_by_git_and_a_project_by_its_dependencies(tmp_path: Path) -> None:
    plant(tmp_path, {"a/.git/HEAD": "x", "b/c/pyproject.toml": "x", "d/README.md": "x"})
    plant(tmp_path, {"build/.git": "gitdir: x", "node_modules/e/package.json": "{}"})
    plant(tmp_path, {"vendor/f/setup.py": "x", "a/nested/setup.py": "x", "1/2/3/4/5/setup.py": "x"})
    plant(tmp_path, {"1/2/3/4/6/7/setup.py": "x", "g/.copier-answers.yml": "x"})
    (tmp_path / "link").symlink_to(tmp_path / "a")

    assert ["1/2/3/4/5", "a", "b/c", "build", "g"] == names(tmp_path)


def test_a_folder_without_repositories_is_one_itself_or_is_refused(tmp_path: Path) -> None:
    plant(tmp_path / "one", ML | {"src/a.py": "a = 1\n"})
    plant(tmp_path / "none", {"a.txt": "words"})

    assert ["one"] == names(tmp_path / "one")
    with pytest.raises(RungError, match="No repository was found"):
        names(tmp_path / "none")


def test_a_bare_repository_is_read_as_its_branch_has_it(tmp_path: Path) -> None:
    made = init(plant(tmp_path / "made", TESTED))
    bare = tmp_path / "served/the flights.git"
    git(made, "clone", "--quiet", "--bare", ".", str(bare))
    (tmp_path / "all.txt").write_text("served/the flights.git\n")

    for where in (tmp_path / "all.txt", tmp_path / "served", bare):
        done = rung("fleet", where, "--format", "json", "--seconds", "60", expect=0)
        (row,) = json.loads(done.stdout)["repositories"]
        assert (row["level"], row["path"]) == (1, bare.as_uri()), where
    done = rung("check", bare, expect=2)
    assert f"`rung fleet {bare}`" in " ".join(done.stderr.split())
    for name in ("HEAD", "objects", "refs"):  # a repository may hold what it likes
        (made / name).mkdir()
    rung("check", made, expect=0)


def test_a_list_names_repositories_once_relative_to_its_folder(tmp_path: Path) -> None:
    fleet(tmp_path)
    listed = plant(tmp_path, {"all.txt": "# ours\nlate\n\n  team/early \nteam/../late\nnowhere\n"})
    done = rung("fleet", listed / "all.txt", "--format", "json")
    rows = json.loads(done.stdout)["repositories"]

    assert ["late", "team/early", "nowhere"] == [row["repository"] for row in rows]
    assert "is not a folder" in rows[2]["error"]


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["nowhere"], "neither a folder nor a file"),
        (["empty.txt"], "No repository was found"),
        (["binary"], "cannot be read as a list"),
        ([".", "--format", "sarif"], "There is no format `sarif`"),
        ([".", "--game", "chess"], "There is no use case `chess`"),
        (["of.txt"], "there is no user `nosuchuser`"),
        (["https://ada:SECRET@host"], "`https://host` is not the URL of a repository"),
        (["urls.txt"], "`https://host/a.git # churn` is not the URL of a repository"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_answered_ends_with_2(
    tmp_path: Path, arguments: list[str], command: str
) -> None:
    plant(tmp_path, {"empty.txt": "# nothing\n", "binary": b"\xff\xfe\x00"})
    urls = "https://ada:SE/C RET@host/a.git # churn\n"
    plant(tmp_path, {"of.txt": "~nosuchuser/x\n", "urls.txt": urls})
    done = rung("fleet", *arguments, cwd=tmp_path, expect=2)

    assert command in done.stderr
    assert "Traceback" not in done.stderr and "RET" not in done.stderr


def test_progress_is_a_moving_line_on_a_terminal_only(tmp_path: Path) -> None:
    fleet(tmp_path)
    mine, theirs = pty.openpty()
    subprocess.run([RUNG, "fleet", tmp_path], stdout=subprocess.DEVNULL, stderr=theirs, check=True)
    os.close(theirs)

    assert b"4 of 4 repositories" in os.read(mine, 10_000)
    assert "" == rung("fleet", tmp_path).stderr


def test_elsewhere_it_is_a_line_now_and_then(tmp_path: Path) -> None:
    for number in range(101):
        plant(tmp_path / str(number), ML)
    done = rung("fleet", tmp_path)

    assert ["50 of 101 repositories", "100 of 101 repositories"] == done.stderr.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_all_processes_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    (room := tmp_path / "room").mkdir()
    monkeypatch.setenv("TMPDIR", str(room))
    large = {f"a{number}.py": "import sklearn\nfit(1)\n" * 900 for number in range(300)}
    for name in "abcd":
        plant(tmp_path / name, ML | large)
    process = running("fleet", tmp_path, "--seconds", "600", "--jobs", "2")
    below = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    started: list[str] = []

    def begun() -> list[str]:
        started[:] = below.read_text().split()
        return started

    code, output = stopped(process, number, begun)

    assert 130 == code
    assert b"stopped" in output and b"Traceback" not in output
    assert started
    assert not any(Path(f"/proc/{worker}").exists() for worker in started)
    assert [] == list(room.iterdir())


def fall_over(number: int) -> int:
    """Die as a process does that the system ends for lack of memory."""
    if number % 3 == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_a_process_that_dies_takes_no_other_job_with_it(processes: int) -> None:
    done = dict(workers.run_all(fall_over, range(8), processes))

    assert {0: 0, 1: None, 2: 4, 3: 9, 4: None, 5: 25, 6: 36, 7: None} == done


def shell(command: str) -> tuple[int, str, str]:
    """Return how a program ends and what it prints, and the name of a new folder."""
    with stopped_like_ctrl_c():
        done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout.strip(), tempfile.mkdtemp()


def test_ctrl_c_reaches_the_programs_of_a_process() -> None:
    ((_, result),) = workers.run_all(shell, ["kill -INT $$"], 1)

    assert result and -signal.SIGINT == result[0]


def test_what_stopped_processes_began_and_wrote_is_gone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    results = workers.run_all(shell, [f"echo $$ > {pipe}; exec sleep 600", f"cat {pipe}"], 2)
    _, result = next(results)
    results.close()
    assert result
    _, program, folder = result

    assert program and not Path(f"/proc/{program}").exists()
    assert not Path(folder).exists()


def test_wide_letters_keep_the_columns_straight() -> None:
    rows = [Row(name, "/", 0, "Manual", "velocity", "", (), True) for name in ("模型", "model")]
    first, second = table.text(rows).splitlines()[1:3]

    assert first.index("0 Manual") + 2 == second.index("0 Manual")


def test_a_column_is_shown_where_a_row_has_something_for_it() -> None:
    plain = Row("a", "/a", 0, "Manual", "velocity", "v0.1.0", (), True)
    kept = replace(plain, behind="2", owner="@ml", waivers={"unit-tests": "2099-06-30"})
    first = table.text([plain]).splitlines()[0]

    assert not [title for title in table.OPTIONAL if title in first]
    titles, (_, cells) = table.columns([plain, kept])
    assert ["Behind", "Owner", "Waivers", "Oldest blocker"] == titles[4:]
    assert ["2", "@ml", "unit-tests until 2099-06-30", "none"] == cells[4:]
    assert "unit-tests:2099-06-30" in table.as_csv([kept])
    assert all(
        f'<th scope="col" role="columnheader">{title}' in table.page([kept], "a")
        for title in titles
    )


@pytest.mark.parametrize(
    ("version", "reference", "shown"),
    [
        ("v0.1.0", "v0.2.0", "1"),
        ("v0.1.0-3-g52cc6a5", "v0.2.0", "1"),
        ("v0.2.0", "v0.2.0", "0"),
        ("v0.2.0-3-g52cc6a5", "v0.2.0", "0"),
        ("52cc6a5b", "v0.2.0", "unknown"),
        ("v0.1.0", "v99", "unknown"),
        ("", "v0.2.0", ""),
    ],
)
def test_a_template_is_behind_by_releases(version: str, reference: str, shown: str) -> None:
    assert shown == upkeep.behind(version, reference)
