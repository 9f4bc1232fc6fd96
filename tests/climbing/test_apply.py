"""However a climb ends, the project is on the old commit or the new one."""

import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from rung.core import preconditions, transaction
from rung.core.climbing import apply, messages, planner
from rung.core.climbing.planner import PreparedPlan
from rung.core.climbing.plans import ChangeRequest
from rung.errors import RungError
from tests.climbing import tiny
from tests.climbing.conftest import NewProject
from tests.climbing.tiny import commit, edit, files_of, git
from tests.command import RUNG, rung, running, stopped

# What changes something on disk, or starts a program that may.
MUTATIONS: list[tuple[Any, str]] = [
    (subprocess, "Popen"),
    (Path, "write_text"),
    (Path, "replace"),
    (Path, "unlink"),
    (os, "rename"),
    (os, "open"),
]
HALF = "# Rung 1\n\nWi"  # what a git that was killed may leave of RUNG.md


def carry_out(observed: PreparedPlan) -> None:
    apply.climb(observed, messages.message(observed.plan), verify=False)


@contextmanager
def killed_at(count: int, *, after: bool) -> Iterator[None]:
    """Let this process die at the mutation of that number: before it, or once it has begun."""
    left = [count]

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            here = left[0] == 0  # one mutation may make another, as Popen opens /dev/null
            if here and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(*arguments, **options)
            if here:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in MUTATIONS:
            patch.setattr(owner, name, dying(getattr(owner, name)))
        yield


def in_a_child(what: Callable[[], None]) -> bool:
    """Do something in another process; say whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            what()
            os._exit(0)
        except BaseException:  # noqa: BLE001
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or 0 == os.WEXITSTATUS(status)
    return not os.WIFSIGNALED(status)


def state_of(project: Path) -> tuple[str, dict[str, bytes]]:
    """Return commit and files, once nothing is half-done."""
    assert "" == git(project, "status", "--porcelain")
    assert "" == git(project, "for-each-ref", "refs/rung")
    assert not [path for path in (project / ".git").rglob("*.lock") if path.name != "rung.lock"]
    git(project, "fsck", "--connectivity-only")
    return git(project, "log", "-1", "--format=%s"), files_of(project)


def begin(project: Path, pending: str) -> None:
    """Note a commit as what a climb leads to, which is as far as a killed one had come."""
    git(project, "update-ref", transaction.pending_ref(project), pending)


def planned(project: Path, level: int) -> str:
    """Return the commit that a climb leads to, which the project has already."""
    with tiny.prepare(project, level=level) as prepared:
        tree = prepared.project.repository_tree(prepared.plan.result)
        new = prepared.bench.commit(tree, [prepared.plan.head], "New")
        prepared.bench.keep(prepared.plan.head, new)
    return new


def begun(project: Path) -> None:
    """Let a climb be killed in its fast-forward, after which the user goes on."""
    begin(project, planned(project, 1))
    (project / "RUNG.md").write_text(HALF)
    tiny.write(project, {"ops/one.py": tiny.FILES["files/ops/one.py"]})


def ended(project: Path) -> str:
    """End what a climb has left, as the next command does, or else the next after the one it prints."""
    try:
        return next_command(project)
    except RungError as refused:
        printed = re.search("`(rm .*?)`", str(refused))
        assert printed is not None, refused
        subprocess.run(shlex.split(printed[1]), check=True)
    return next_command(project)


def next_command(project: Path) -> str:
    with transaction.locked(project, wait=30):
        recovered = transaction.recover(project)
        transaction.refuse_git_locks(project)
    return recovered


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(False, id="before it"),
        pytest.param(True, id="once it has begun", marks=pytest.mark.slow),
    ],
)
def test_a_climb_killed_at_any_mutation_ends_old_or_new(project: Path, after: bool) -> None:
    start = git(project, "rev-parse", "HEAD")
    old = state_of(project)
    with tiny.prepare(project, level=2) as prepared:
        carry_out(prepared)
        new = state_of(project)
        git(project, "reset", "--quiet", "--hard", start)
        result, number = [], 0
        while True:
            number += 1

            def climb(number: int = number) -> None:
                with killed_at(number, after=after):
                    carry_out(prepared)

            complete = in_a_child(climb)
            ended(project)
            now = state_of(project)
            assert now[0] in (old[0], new[0])
            assert now == (old if now[0] == old[0] else new), number
            result.append(now == new)
            git(project, "reset", "--quiet", "--hard", start)
            if complete:
                break

    assert number > 20
    assert {False, True} == set(result)


@pytest.mark.slow
def test_recovery_itself_may_be_killed(project: Path) -> None:
    old = state_of(project)
    complete = planned(project, 2)
    number, whole_once = 0, False
    while not whole_once:
        number += 1
        mine: dict[str, str | bytes | None] = {
            "README.md": b"written while it was down, %d\n" % number,
            "new-of-mine": b"new %d\n" % number,
        }
        begin(project, complete)
        git(project, "read-tree", "-u", "-m", "HEAD", complete)
        git(project, "read-tree", "HEAD")
        tiny.write(project, mine)

        def recovery(number: int = number) -> None:
            with killed_at(number, after=False), transaction.locked(project, wait=30):
                transaction.recover(project)

        whole_once = in_a_child(recovery)
        ended(project)
        assert mine == {path: (project / path).read_bytes() for path in mine}
        (project / "new-of-mine").unlink()
        git(project, "checkout", "--quiet", "README.md")
        assert old == state_of(project), number


def test_a_file_that_git_cannot_tell_from_the_old_one_by_time_is_restored(project: Path) -> None:
    """It has the same size, and was written within the second of the old one."""
    old = files_of(project)
    new = planned(project, 1)
    begin(project, new)
    git(project, "config", "core.trustctime", "false")
    page, long_ago = project / "RUNG.md", (10**9, 10**9)
    os.utime(page, long_ago)
    git(project, "update-index", "--refresh")
    content = git(project, "show", f"{new}:RUNG.md") + "\n"
    assert page.stat().st_size == len(content)
    page.write_text(content)
    os.utime(page, long_ago)

    assert "is as it was before" in ended(project)

    assert old == files_of(project)


def test_a_file_that_git_ignores_survives_a_recovery(project: Path) -> None:
    edit(project, {".gitignore": "Dockerfile\n"})
    begun(project)
    (project / "Dockerfile").write_text("mine\n")
    ended(project)

    assert "mine\n" == (project / "Dockerfile").read_text()
    assert "" == git(project, "status", "--porcelain")


def test_a_project_that_has_moved_on_since_is_left_alone(project: Path) -> None:
    (project / "README.md").write_text("later\n")
    after = commit(project)
    begin(project, after)
    (project / "README.md").write_text("not committed yet\n")

    result = ended(project)

    assert "is on its new commit" in result
    assert "not committed yet\n" == (project / "README.md").read_text()


def test_another_work_tree_is_not_touched_and_its_garbage_collection_keeps_the_pending_commit(
    project: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    git(project, "worktree", "add", "--quiet", "-b", "side", str(other))
    old = files_of(other)
    begun(other)
    (project / "README.md").write_text("not committed yet\n")

    git(project, "gc", "--quiet", "--prune=now")

    assert "" == ended(project)
    assert HALF == (other / "RUNG.md").read_text()
    assert "is as it was before" in ended(other)
    assert old == files_of(other)
    assert "" == git(other, "status", "--porcelain")
    assert "not committed yet\n" == (project / "README.md").read_text()
    assert "" == git(other, "for-each-ref", "refs/rung")


@pytest.mark.parametrize("arguments", [("plan", "."), ("adopt", "--dry-run")])
def test_a_command_that_only_looks_takes_back_what_the_climb_wrote_alone(
    project: Path, small: Path, arguments: tuple[str, ...]
) -> None:
    old = (project / "RUNG.md").read_bytes()
    begun(project)
    (project / "ops/one.py").write_text('"""What a fir')
    mine = {"README.md": "since\n", "Dockerfile": "FROM since\n", "src/flights/model.py": "M = 3\n"}
    tiny.write(project, mine)

    done = rung(*arguments, "--template", small, cwd=project)

    assert "An interrupted climb was cleaned up" in done.stderr
    assert "they were left alone: `Dockerfile`" in done.stderr
    assert mine == {path: (project / path).read_text() for path in mine}
    assert old == (project / "RUNG.md").read_bytes()
    assert not (project / "ops/one.py").exists()


def test_a_recovery_is_reported_although_the_look_is_refused(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun(project)
    monkeypatch.setenv("RUNG_CONFIG_DIR", str(tmp_path / "trusts-nothing"))

    with pytest.raises(RungError), planner.prepare(project, ChangeRequest({"level": 1})):
        pass

    assert "is as it was before" in capsys.readouterr().err
    assert "" == git(project, "status", "--porcelain")


SHAPES: list[dict[str, str | bytes]] = [
    {
        "a": "a file\n",
        "d/x": "in a folder\n",
        "run.sh": "echo\n",
        "same": "1\n2\n",
        "gone/x": "x\n",
    },
    {
        "a/b": "in a folder\n",
        "d": "a file\n",
        "run.sh": "echo\n",
        "same": "1\n2\n3\n",
        "new/deep/x": b"\0\r\n\xff",
        ".gitattributes": "same text eol=crlf\n",
    },
]


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("index", ["old", "new"])
def test_every_kind_of_change_is_rolled_back(tmp_path: Path, up: bool, index: str) -> None:
    project = tmp_path / "p"
    project.mkdir()
    git(project, "init", "--quiet", "--initial-branch=main")
    commits = []
    for number, shape in enumerate(SHAPES if up else SHAPES[::-1]):
        for path in files_of(project):
            (project / path).unlink()
        for folder in sorted(filter(Path.is_dir, project.rglob("*")), reverse=True):
            if ".git" not in folder.parts:
                folder.rmdir()
        tiny.write(project, shape)
        (project / "run.sh").chmod(0o755 if number else 0o644)
        (project / "link").symlink_to("there" if number else "here")
        commits.append(commit(project))
        (project / "link").unlink()
    before, pending = commits
    git(project, "reset", "--quiet", "--hard", before)
    old = state_of(project)
    begin(project, pending)
    git(project, "read-tree", "-u", "-m", "HEAD", pending)
    if index == "old":
        git(project, "read-tree", "HEAD")

    result = ended(project)

    assert "is as it was before" in result
    assert old == state_of(project)
    assert Path("here") == (project / "link").readlink()
    assert not (project / "run.sh").stat().st_mode & 0o100


def test_in_a_copy_of_a_repository_the_copy_is_led_back(project: Path, tmp_path: Path) -> None:
    begun(project)
    backup = tiny.copy(project, tmp_path / "backup")
    before = files_of(project)

    assert "is as it was before" in ended(backup)

    assert "" == git(backup, "status", "--porcelain")
    assert before == files_of(project)
    assert "is as it was before" in ended(project)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_climb_that_is_stopped_leaves_the_project_as_it_was(
    project: Path,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sent: signal.Signals,
) -> None:
    old = state_of(project)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("RUNG_CACHE_DIR", str(tmp_path / "cache"))
    child = running("climb", project, "--to", "1", "--no-verify", "--template", small)
    code, output = stopped(child, sent, lambda: list((tmp_path / "tmp").glob("rung-*/**/project")))

    assert 130 == code, output
    assert old == state_of(project)
    assert [] == list((tmp_path / "tmp").iterdir())


STOPPED_IN_A_FINALIZER = """
import importlib, os, signal, sys
from rung.__main__ import main

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

def stopped(*arguments, **options):
    result = step(*arguments, **options)
    Last()
    return result

module, *owner, name = sys.argv[1].split(":")
owner = getattr(importlib.import_module(module), *owner) if owner else importlib.import_module(module)
step = getattr(owner, name)
setattr(owner, name, stopped)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("step", "command"),
    [
        ("rung.core.rendering.rendered_trees:render", ["plan"]),
        ("rung.core.rendering.rendered_trees:render", ["climb", "--no-verify"]),
        ("rung.core.rendering.workbench:Workbench:commit", ["climb", "--no-verify"]),
        (
            "rung.core.rendering.workbench:Workbench:commit",
            ["climb", "--branch", "try", "--no-verify"],
        ),
    ],
    ids=str,
)
def test_a_stop_in_a_finalizer_is_not_lost(
    project: Path, small: Path, tmp_path: Path, step: str, command: list[str]
) -> None:
    """Python ignores what is raised there."""
    old = state_of(project)
    words = [*command, "--to", "1", "--template", str(small)]
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_IN_A_FINALIZER, step, *words],
        cwd=project,
        env=os.environ | {"RUNG_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "rung: stopped; nothing is left half-done." in done.stderr
    assert (130, "") == (done.returncode, done.stdout)
    assert old == state_of(project)
    assert ["main"] == git(project, "branch", "--format=%(refname:short)").split()


def test_somebody_who_commits_meanwhile_is_not_overrun(project: Path) -> None:
    with tiny.prepare(project, level=1) as prepared:
        tiny.write(project, {"README.md": "meanwhile\n"})
        head = commit(project)
        with pytest.raises(RungError, match="has changed since this was planned"):
            carry_out(prepared)

    assert head == git(project, "rev-parse", "HEAD")


MEANWHILE: dict[str, str | bytes | None] = {
    "README.md": "meanwhile\n",
    "src/flights/model.py": "MODEL = 2\n",
    "RUNG.md": "meanwhile\n",
    "Dockerfile": "FROM meanwhile\n",
    "forced.log": "added although git ignores it\n",
}


def go_on_working(project: Path) -> dict[str, bytes]:
    """Do what a user may do while the checks run; return every file."""
    tiny.write(project, MEANWHILE)
    git(project, "add", "--force", "forced.log")
    git(project, "add", "README.md")
    return files_of(project)


@pytest.mark.parametrize("path", ["RUNG.md", "Dockerfile", "README.md"])
def test_a_climb_is_refused_where_a_file_was_written_meanwhile(project: Path, path: str) -> None:
    head = git(project, "rev-parse", "HEAD")
    with tiny.prepare(project, level=1) as prepared:
        tiny.write(project, {path: "meanwhile\n"})
        with pytest.raises(RungError, match="changed in the meantime") as refused:
            carry_out(prepared)

    assert "Nothing was touched" in str(refused.value)
    assert b"meanwhile\n" == (project / path).read_bytes()
    assert "" == git(project, "for-each-ref", "refs/rung")
    assert head == git(project, "rev-parse", "HEAD")


def test_what_is_written_at_the_last_moment_stays(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now: dict[str, bytes] = {}
    real = transaction._forward

    def forward(*arguments: Any) -> str:
        now.update(go_on_working(project))
        return real(*arguments)

    with tiny.prepare(project, level=1) as prepared:
        monkeypatch.setattr(transaction, "_forward", forward)
        with pytest.raises(RungError, match="could not bring") as refused:
            carry_out(prepared)

    assert "is as it was before" in str(refused.value)
    assert now == files_of(project)
    assert {"README.md", "forced.log"} == set(
        git(project, "diff", "--cached", "--name-only").splitlines()
    )
    assert "" == git(project, "for-each-ref", "refs/rung")


def test_a_climb_that_fails_half_way_takes_back_its_own_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero = (project / "ops/zero.py").read_bytes()

    def half_way(top: Path, commit: str, *_: Any) -> str:
        git(top, "update-index", "-q", "--refresh")
        git(top, "read-tree", "-u", "-m", "HEAD", commit)
        (top / "ops/one.py").write_text('"""What a fir')
        (top / "ops/zero.py").unlink()
        go_on_working(top)
        return "No space left"

    with tiny.prepare(project, level=1) as prepared:
        monkeypatch.setattr(transaction, "_forward", half_way)
        with pytest.raises(RungError, match="No space left") as failed:
            carry_out(prepared)

    assert "they were left alone: `Dockerfile`, `RUNG.md`" in str(failed.value)
    for path, content in MEANWHILE.items():
        assert content == (project / path).read_text()
    assert zero == (project / "ops/zero.py").read_bytes()
    assert not (project / "ops/one.py").exists()
    reported = git(project, "status", "--porcelain", "--untracked-files=all").splitlines()
    assert sorted(MEANWHILE) == sorted(line.split(" ")[-1] for line in reported)
    assert "" == git(project, "for-each-ref", "refs/rung")


@pytest.mark.parametrize("lock", ["index.lock", "refs/heads/main.lock"])
def test_a_lock_of_another_git_is_not_removed(
    project: Path, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    monkeypatch.setattr(transaction, "PATIENCE", 0.1)
    file = project / ".git" / lock
    with tiny.prepare(project, level=1) as prepared:
        file.touch()
        with pytest.raises(RungError, match="Another git process runs") as refused:
            carry_out(prepared)

    assert str(file) in str(refused.value)
    assert file.exists()
    file.unlink()
    assert "" == git(project, "status", "--porcelain")


def test_a_lock_that_goes_within_moments_is_waited_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = project / ".git/index.lock"
    monkeypatch.setattr(
        "rung.core.transaction.time.sleep", lambda seconds: lock.unlink(missing_ok=True)
    )
    with tiny.prepare(project, level=1) as prepared:
        lock.touch()
        carry_out(prepared)

    assert "Climb to rung 1" == git(project, "log", "-1", "--format=%s")


def test_a_git_in_another_work_tree_does_not_keep_a_climb_out(
    new_project: NewProject, tmp_path: Path
) -> None:
    project, other = new_project(0), tmp_path / "other"
    git(project, "worktree", "add", "--quiet", "-b", "side", str(other))
    (project / ".git/index.lock").touch()
    tiny.climb(other, level=1)

    assert "Climb to rung 1" == git(other, "log", "-1", "--format=%s")


def test_after_a_git_that_is_killed_alone_the_printed_command_leads_back(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = state_of(project)
    configuration = tmp_path / "gitconfig"  # the user's; a filter of the repository's is off
    configuration.write_text('[filter "deadly"]\nsmudge = "kill -9 $PPID; cat"\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    (project / ".git/info/attributes").write_text("ops/one.py filter=deadly\n")
    with (
        tiny.prepare(project, level=1) as prepared,
        pytest.raises(RungError, match="If none runs: `rm "),
    ):
        carry_out(prepared)

    ended(project)
    (project / ".git/info/attributes").unlink()
    assert old == state_of(project)


def test_a_git_that_is_killed_while_it_changes_a_ref_leaves_no_lock(
    project: Path, tmp_path: Path
) -> None:
    """Git calls this hook while it holds the locks of the refs that it is about to change."""
    old, complete = state_of(project), planned(project, 1)
    refs, hook = tmp_path / "refs", tmp_path / "hooks/reference-transaction"
    hook.parent.mkdir()
    start = git(project, "rev-parse", "HEAD")
    states: list[tuple[str, dict[str, bytes]]] = []
    killed = True
    while killed:
        begin(project, complete)
        refs.write_text("")
        hook.write_text(
            f'#!/bin/sh\n[ "$1" = prepared ] || exit 0\ncat >> {refs}\n'
            f"[ $(wc -l < {refs}) -le {len(states)} ] || kill -9 $PPID\n"
        )
        hook.chmod(0o755)
        forward = ["git", "-c", f"core.hooksPath={hook.parent}", *transaction.FORWARD, complete]
        killed = subprocess.run(forward, cwd=project, check=False).returncode < 0
        ended(project)
        states.append(state_of(project))
        git(project, "reset", "--quiet", "--hard", start)

    assert {"HEAD", "refs/heads/main"} <= set(refs.read_text().split())
    assert old == states[0] != states[-1]
    assert all(state in (old, states[-1]) for state in states)


def test_what_another_climb_is_writing_is_not_taken_for_the_users_work(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looked = transaction.uncommitted, threading.Event()

    def looking(top: Path) -> list[str]:
        changed = look(top)
        looked.set()
        return changed

    monkeypatch.setattr(transaction, "uncommitted", looking)
    with ThreadPoolExecutor(1) as pool:
        with transaction.locked(project):
            (project / "new.txt").write_text("half of it")
            second = pool.submit(preconditions.committed_root, project)
            assert looked.wait(60)
            (project / "new.txt").unlink()
        assert second.result() == project


def test_answers_that_another_climb_changes_meanwhile_are_not_taken_for_an_edit(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = preconditions.committed_root

    def meanwhile(folder: Path) -> Path:
        monkeypatch.setattr(preconditions, "committed_root", look)
        tiny.climb(project, level=1)
        return look(folder)

    monkeypatch.setattr(preconditions, "committed_root", meanwhile)
    with (
        pytest.raises(RungError, match="Another climb was under way"),
        tiny.prepare(project, level=2),
    ):
        pass

    assert "Climb to rung 1" == git(project, "log", "-1", "--format=%s")


@pytest.mark.parametrize("many", [2, 8])
def test_of_many_climbs_at_once_one_wins(project: Path, small: Path, many: int) -> None:
    command = [str(RUNG), "climb", str(project), "--no-verify"]
    climbs = [
        subprocess.Popen(
            [*command, "--to", str(1 + number % 2), "--template", str(small)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(many)
    ]
    ends = [(child.communicate()[1], child.returncode) for child in climbs]

    won = [code for _, code in ends if code == 0]
    refused = [message for message, code in ends if code == 2]
    assert many == len(won) + len(refused), ends
    commits = int(git(project, "rev-list", "--count", "HEAD")) - 1
    assert 1 <= commits <= len(won)  # one that began after another's end may win as well
    assert all("Another climb" in message or "has changed since" in message for message in refused)
    subject, files = state_of(project)
    level = 1 if "rung 1" in subject else 2
    assert f"# Rung {level}\n".encode() in files["RUNG.md"]


def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if (
        os.geteuid()
        or not shutil.which("mount")
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("no small file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    yield from small_disk(tmp_path / "disk", 1500)


@pytest.mark.slow
def test_a_full_disk_loses_nothing(disk: Path, originals: Callable[[int], Path]) -> None:
    """Leave less and less room, to the last byte; the climb ends old or new at each."""
    project = tiny.copy(originals(0), disk / "p")
    start = git(project, "rev-parse", "HEAD")
    old = state_of(project)
    outcomes = set()
    with tiny.prepare(project, level=2) as prepared:
        carry_out(prepared)
        new = state_of(project)
        git(project, "reset", "--quiet", "--hard", start)
        git(project, "reflog", "expire", "--expire=now", "--all")
        git(project, "gc", "--quiet", "--prune=now")
        for room in range(0, 240, 4):
            filler = disk / "filler"
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            filler.write_bytes(b"x" * max(free - room * 1024, 0))
            try:
                carry_out(prepared)
                outcomes.add("new")
            except RungError as error:
                outcomes.add("old")
                assert any(text in str(error) for text in ("Nothing was", "as it was", "Make room"))
            filler.unlink()
            ended(project)
            now = state_of(project)
            assert now == (old if now[0] == old[0] else new), room
            git(project, "reset", "--quiet", "--hard", start)
            git(project, "reflog", "expire", "--expire=now", "--all")
            git(project, "gc", "--quiet", "--prune=now")

    assert {"old", "new"} == outcomes


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a template whose second rung has 3,000 files more."""
    folder = tmp_path_factory.mktemp("large") / "template"
    rows = {f"files/many/{number % 50}/{number}.txt": f"{number}\n" * 20 for number in range(3000)}
    settings = tiny.FILES["copier.yml"].replace(
        "/data/table.bin", '/many{% endif %}"\n  - "{% if level < 2 %}/data/table.bin'
    )
    return tiny.template(folder, files={**rows, "copier.yml": settings})


@pytest.mark.slow
@pytest.mark.every_commit
@pytest.mark.draws
def test_a_climb_killed_at_a_random_time_ends_old_or_new(large: Path, tmp_path: Path) -> None:
    """20 kills in .ci/run, 200 in .ci/all (RUNG_KILLS), of Rung and its git, mostly in the fast-forward."""
    project = tiny.new_project(large, tmp_path / "p", level=0)
    start = git(project, "rev-parse", "HEAD")
    old = state_of(project)
    seed = int(os.environ.get("RUNG_SEED", "1"))
    chance = random.Random(seed)
    kills = int(os.environ.get("RUNG_KILLS", "200"))
    with tiny.prepare(project, level=2) as prepared:
        began = time.monotonic()
        os.waitpid(_climbing(prepared), 0)
        duration = time.monotonic() - began  # in a child as well, which starts slowly
        new = state_of(project)
        assert len(new[1]) > 3000
        ends = []

        def kill_after(seconds: float) -> None:
            git(project, "reset", "--quiet", "--hard", start)
            git(project, "clean", "--quiet", "-d", "--force")
            child = _climbing(prepared)
            time.sleep(seconds)
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            ended(project)
            now = state_of(project)
            assert now == (old if now[0] == old[0] else new), f"seed {seed}, {seconds} s"
            ends.append(now == new)

        for number in range(kills):
            kill_after(chance.uniform(number, number + 1) / kills * 1.5 * duration)
        if True not in ends:  # the machine was less busy when the time was taken
            seconds = 1.5 * duration
            while True not in ends:
                seconds *= 2
                kill_after(seconds)
        if False not in ends:
            kill_after(0.0)

    print(f"seed {seed}: {ends.count(False)} ended old, {ends.count(True)} new")
    assert {False, True} == set(ends)


def _climbing(observed: PreparedPlan) -> int:
    """Climb in a child that leads a process group; return its id."""
    child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch:
            try:
                os.setpgid(0, 0)
                _same_group(patch)
                carry_out(observed)
            finally:
                os._exit(0)  # what it came to is seen in the project
    return child


def _same_group(patch: pytest.MonkeyPatch) -> None:
    """Keep git in the process group of its parent, so that one signal ends both."""
    real = subprocess.Popen.__init__

    def started(self: Any, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **(options | {"start_new_session": False}))

    patch.setattr(subprocess.Popen, "__init__", started)
