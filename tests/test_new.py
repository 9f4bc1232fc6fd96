"""`rung new` makes a whole project, and nothing but it."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rung.core import cache
from rung.errors import RungError
from rung.system import staging
from tests import asking
from tests.command import RUNG, commit, dialogue, git, rung, running, stopped
from tests.conftest import RELEASE, files_of

COPIER = RUNG.with_name("copier")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a template of few files, for what does not depend on them."""
    folder = tmp_path_factory.mktemp("small") / "template"
    return asking.repository(folder, "pyproject.toml.jinja")


@pytest.fixture
def made(tmp_path: Path, copier_template: Path) -> Path:
    folder = tmp_path / "made"
    rung("new", folder, "--defaults", "--template", copier_template, expect=0)
    return folder


def answers_of(folder: Path) -> dict[str, object]:
    answers = yaml.safe_load((folder / ".copier-answers.yml").read_text("utf-8"))
    assert isinstance(answers, dict)
    return answers


@pytest.mark.parametrize("level", ["0", "2"])
def test_rung_new_and_copier_copy_give_the_same_bytes(
    tmp_path: Path, copier_template: Path, level: str
) -> None:
    ours, theirs = tmp_path / "ours" / "one", tmp_path / "theirs" / "one"
    options = ["-d", "project_name=Twins", "-d", f"level={level}", "-d", "use_case=governance"]
    rung("new", ours, "--defaults", "--template", copier_template, *options, expect=0)
    subprocess.run(
        [COPIER, "copy", "--quiet", "--defaults", *options, copier_template, theirs], check=True
    )

    assert files_of(theirs) == files_of(ours)
    modes = [{p: (root / p).stat().st_mode for p in files_of(root)} for root in (theirs, ours)]
    assert modes[0] == modes[1]


def test_the_first_commit_on_main_holds_every_file(made: Path) -> None:
    assert "main" == git(made, "branch", "--show-current")
    assert "1" == git(made, "rev-list", "--count", "HEAD")
    assert "" == git(made, "status", "--porcelain", "--ignored")
    assert set(files_of(made)) == set(git(made, "ls-files", "-z").strip("\0").split("\0"))


def test_a_raw_file_comes_out_of_git_as_it_went_in(made: Path, tmp_path: Path) -> None:
    """DVC counts its bytes: with other line ends a clone would have other data."""
    raw = made / "data/sample/rows.csv"
    raw.write_bytes(b"a;b\r\n1;2\r\n")

    commit(made, "Rows")
    git(tmp_path, "clone", "--quiet", str(made), "cloned")

    assert raw.read_bytes() == (tmp_path / "cloned/data/sample/rows.csv").read_bytes()


def test_a_template_is_recorded_by_its_absolute_path_and_version(
    tmp_path: Path, copier_template: Path
) -> None:
    words = ("new", tmp_path / "made", "--defaults", "--template", copier_template.name)
    rung(*words, cwd=copier_template.parent, expect=0)

    answers = answers_of(tmp_path / "made")
    assert (str(copier_template), RELEASE) == (answers["_src_path"], answers["_commit"])


def test_the_next_steps_can_be_pasted(tmp_path: Path, small: Path) -> None:
    done = rung("new", tmp_path / "a b's", "--defaults", "--template", small)
    steps = done.stdout.split("Next:\n")[1].splitlines()

    assert 3 == len(steps)
    assert "uv sync" == steps[1].strip()
    subprocess.run(["sh", "-ec", f"{steps[0]}\ntest -f pyproject.toml"], check=True)


REMOTE = "`dvc_remote/` is a folder on one person's machine"
REGISTRY = "`mlflow.db` are on the machine that trained them"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"team_size": "team", "level": "2"}, {REMOTE, REGISTRY}),
        ({"team_size": "teams", "level": "2", "tracking": "server"}, {REMOTE}),
        ({"team_size": "team", "level": "2", "data": "store"}, {REGISTRY}),
        ({"team_size": "team", "level": "1"}, set()),
        ({"team_size": "one", "level": "2"}, set()),
    ],
)
def test_a_team_is_warned_about_answers_for_one_person(
    tmp_path: Path, copier_template: Path, answers: dict[str, str], message: set[str]
) -> None:
    options = [f"-d{question}={answer}" for question, answer in answers.items()]
    done = rung("new", tmp_path / "made", "--defaults", "--template", copier_template, *options)
    page = (tmp_path / "made" / "RUNG.md").read_text()
    here = page.partition("## The next rung")[0]

    assert message == {
        place for place in (REMOTE, REGISTRY) if place in " ".join(done.stdout.split())
    }
    assert message == {place for place in (REMOTE, REGISTRY) if place in here}


def test_a_dry_run_lists_every_file_and_writes_none(
    tmp_path: Path, copier_template: Path, made: Path
) -> None:
    options = ("--defaults", "-d", "package=made", "--dry-run", "--template", copier_template)
    done = rung("new", tmp_path / "other", *options)

    assert sorted(files_of(made)) == done.stdout.splitlines()
    assert [made] == list(tmp_path.iterdir())


def test_options_override_pairs_and_pairs_override_the_answers_file(
    tmp_path: Path, small: Path
) -> None:
    file = tmp_path / "answers.yml"
    file.write_text("_commit: v9\nci: gitlab\nteam_size: team\nlevel: 2\n", "utf-8")
    folder = tmp_path / "made"
    rung(
        *("new", folder, "--defaults", "--template", small, "--answers", file),
        *("-d", "team_size=teams", "-d", "level=2", "--level", "1"),
        expect=0,
    )
    answers = answers_of(folder)

    assert ("gitlab", "teams", 1) == (answers["ci"], answers["team_size"], answers["level"])


@pytest.mark.parametrize("inside", [True, False])
def test_no_repository_is_made_inside_another_or_when_not_wanted(
    tmp_path: Path, small: Path, inside: bool
) -> None:
    if inside:
        git(tmp_path, "init", "--quiet")
    options = [] if inside else ["--no-git"]
    done = rung("new", tmp_path / "made", "--defaults", "--template", small, *options, expect=0)

    assert not (tmp_path / "made/.git").exists()
    assert inside == (f"inside the repository {tmp_path}" in done.stdout)


def test_an_empty_folder_is_filled_where_it_is(tmp_path: Path, small: Path) -> None:
    before = tmp_path.stat().st_ino
    rung("new", ".", "--defaults", "--template", small, cwd=tmp_path, expect=0)

    assert before == tmp_path.stat().st_ino
    assert "" == git(tmp_path, "status", "--porcelain")
    assert not list(tmp_path.glob(".rung-*"))


def test_a_clone_of_an_empty_repository_counts_as_empty(tmp_path: Path, small: Path) -> None:
    git(tmp_path, "init", "--quiet")
    rung("new", tmp_path, "--defaults", "--template", small, expect=0)

    assert (tmp_path / "pyproject.toml").is_file()


def test_the_first_commit_needs_no_configured_name_and_runs_no_hook(
    tmp_path: Path, copier_template: Path
) -> None:
    hooks = tmp_path / "hooks/hooks"
    hooks.mkdir(parents=True)
    for name in ("pre-commit", "commit-msg", "post-commit"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n", "utf-8")
        (hooks / name).chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[init]\ntemplateDir = {hooks.parent}\n[commit]\ngpgSign = true\n"
        f"[core]\nhooksPath = {hooks}\nexcludesFile = {tmp_path / 'ignored'}\n"
        "[user]\nuseConfigOnly = true\n",
        "utf-8",
    )
    (tmp_path / "ignored").write_text("*.py\ndata\n", "utf-8")
    done = rung(
        *("new", tmp_path / "made", "--defaults", "--template", copier_template),
        environment={"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_SYSTEM": os.devnull},
        expect=0,
    )

    assert "git does not know your name" in done.stdout
    assert "Rung <rung@localhost>" == git(tmp_path / "made", "log", "-1", "--format=%an <%ae>")
    assert set(files_of(tmp_path / "made")) == set(git(tmp_path / "made", "ls-files").splitlines())


def test_a_hook_that_calls_rung_does_not_lead_it_astray(tmp_path: Path, small: Path) -> None:
    git(tmp_path, "init", "--quiet", "elsewhere")
    elsewhere = {"GIT_DIR": str(tmp_path / "elsewhere/.git"), "GIT_INDEX_FILE": "index"}
    words = ("new", tmp_path / "made", "--defaults", "--template", small)
    rung(*words, environment=elsewhere, expect=0)

    assert "" == git(tmp_path / "elsewhere", "ls-files")
    assert "1" == git(tmp_path / "made", "rev-list", "--count", "HEAD")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_command_leaves_nothing(
    tmp_path: Path, copier_template: Path, sent: signal.Signals
) -> None:
    room = tmp_path / "a/b"
    child = running("new", room / "made", "--defaults", "--template", copier_template)
    code, text = stopped(child, sent, lambda: list(tmp_path.glob("a/b/.rung-*")))

    assert 130 == code, text
    assert [] == list(tmp_path.iterdir())


STOPPED_IN_A_FINALIZER = """
import os, signal, sys
from pathlib import Path
from rung.system import staging

class Last:
    def __del__(self):
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))

with staging.staged(Path(sys.argv[1])) as room:
    room.mkdir()
    Last()
"""


@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_stop_in_a_finalizer_is_not_lost(tmp_path: Path, sent: str) -> None:
    """Python ignores what is raised there."""
    command = [sys.executable, "-c", STOPPED_IN_A_FINALIZER, str(tmp_path / "made"), sent]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert 0 != done.returncode
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("when", ["render", "place"])
def test_a_killed_one_leaves_nothing_that_refuses_the_retry(
    tmp_path: Path, small: Path, existing: bool, when: str
) -> None:
    destination = tmp_path / "made"
    if existing:
        destination.mkdir()

    def killed() -> None:
        with staging.staged(destination) as room:
            room.mkdir()
            (room / "a").mkdir()
            (room / "a/file").write_text("half", "utf-8")
            (room / "b").write_text("half", "utf-8")
            if when == "render":
                os.kill(os.getpid(), signal.SIGKILL)
            real, count = Path.rename, [0]

            def dying(self: Path, to: Path) -> Path:
                count[0] += 1
                if count[0] == 2 or not existing:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(self, to)

            Path.rename = dying  # type: ignore[method-assign, assignment]

    child = os.fork()
    if child == 0:
        try:
            killed()
        finally:
            os._exit(0)  # never a second process that goes on with the tests
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    rung("new", destination, "--defaults", "--template", small, expect=0)

    assert not (destination / "a").exists()
    assert [] == list(tmp_path.rglob(".rung-*"))
    assert "" == git(destination, "status", "--porcelain")


def test_what_was_changed_since_a_kill_is_not_removed(tmp_path: Path) -> None:
    room = tmp_path / ".rung-0123456789abcdef"
    (room / tmp_path.name).mkdir(parents=True)
    (room / "placing").write_text("moved\n", "utf-8")
    os.utime(room / "placing", (1, 1))
    (tmp_path / "moved").write_text("and edited", "utf-8")

    with pytest.raises(RungError, match="not empty"), staging.staged(tmp_path):
        pass
    assert (tmp_path / "moved").exists()


@pytest.mark.parametrize("existing", [True, False])
def test_of_two_at_once_the_loser_deletes_nothing_of_the_winners(
    tmp_path: Path, existing: bool
) -> None:
    destination = tmp_path / "made"
    if existing:
        destination.mkdir()
    with pytest.raises(RungError, match="not empty"), staging.staged(destination) as loser:
        loser.mkdir()
        (loser / "a").write_text("loser", "utf-8")
        with staging.staged(destination) as winner:
            winner.mkdir()
            (winner / "a").write_text("winner", "utf-8")
            (winner / "z").write_text("winner", "utf-8")

    assert {"a": "winner", "z": "winner"} == {
        path.name: path.read_text("utf-8") for path in destination.iterdir()
    }
    assert [] == list(tmp_path.rglob(".rung-*"))


def test_the_cache_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNG_CACHE_DIR", str(tmp_path / "cache"))

    assert 0o700 == stat.S_IMODE(cache.bare("renders").parent.stat().st_mode)
    (tmp_path / "cache").chmod(0o777)
    assert 0o700 == stat.S_IMODE(cache.bare("renders").parent.stat().st_mode)
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    with pytest.raises(RungError, match="belongs to another user"):
        cache.bare("renders")


def test_from_a_clone_without_tags_the_commit_is_taken_and_reported(
    tmp_path: Path, copier_template: Path
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--no-tags", str(copier_template), str(clone))
    (clone / "levels/questions.yml").write_text("broken: [", "utf-8")
    done = rung("new", tmp_path / "made", "--defaults", "--template", clone, expect=0)

    assert "uncommitted changes, which are left out" in done.stderr
    assert git(clone, "rev-parse", "--short", "HEAD") == answers_of(tmp_path / "made")["_commit"]


@pytest.mark.parametrize("text", [None, "defaults: [", "defaults: 1\n"])
def test_settings_of_copier_that_cannot_be_read_are_named(
    tmp_path: Path, copier_template: Path, text: str | None
) -> None:
    settings = tmp_path / "settings.yml"
    if text is not None:
        settings.write_text(text, "utf-8")
    command = ("new", tmp_path / "made", "--defaults", "--template", copier_template)
    done = rung(*command, environment={"COPIER_SETTINGS_PATH": str(settings)}, expect=2)

    assert f"Copier's settings {settings} cannot be read: " in done.stderr
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_ctrl_c_in_the_interview_leaves_nothing(tmp_path: Path, copier_template: Path) -> None:
    keys = (("", "Which kind of use case"), ("\x03", ""))
    command = (RUNG, "new", tmp_path / "made", "--template", copier_template)
    seen = dialogue(*command, keys=keys, code=130)

    assert "Traceback" not in seen
    assert [] == list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.every_commit
def test_a_project_begins_with_the_users_file_or_not_at_all(
    tmp_path: Path, copier_template: Path
) -> None:
    rows = tmp_path / "fields.csv"
    rows.write_text("soil;Rain (mm);good\n" + "clay;1,5;yes\nsand;22,5;no\nsand;3,5;yes\n" * 30)
    folder = tmp_path / "crop yields"
    options = ("--defaults", "--template", copier_template, "--from-file", rows, "--target")

    refused = rung("new", folder, *options, "yield")
    assert (2, False) == (refused.returncode, folder.exists()), refused.stderr
    assert "fields.csv has no column `yield`; perhaps" in refused.stderr
    done = rung("new", folder, *options, "good", expect=0)

    assert "good: true or false" in done.stdout
    assert "first commit contains your rows: data/sample/fields.csv, 1.2 kB." in done.stdout
    assert "Crop yields" == answers_of(folder)["project_name"]
    assert "" == git(folder, "status", "--porcelain", "--ignored")
    assert {"README.md", "fields.csv"} == set(files_of(folder / "data/sample"))
    assert "rain_mm: float" in (folder / "src/crop_yields/dataset.py").read_text()
