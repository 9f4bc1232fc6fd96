"""A pass that is killed at any moment comes to the same end, with nothing done twice."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from machinery.tests.projects import moved
from rung_ops.autopilot import journal
from rung_ops.autopilot.journal import Done, Record, Step
from rung_ops.errors import OpsError, StageError
from rung_ops.system import key_names

AT = datetime(2026, 1, 31, tzinfo=UTC)
FIRST = ("look", "decide")
ALL = ("look", "decide", "train", "deploy")


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal of its own."""
    monkeypatch.setenv("RELEASES", str(tmp_path / "releases"))
    return tmp_path


def steps(directory: Path, before: str = "", after: str = "") -> dict[str, Step]:
    """Steps that leave a file each, as real ones do, and count how often they did.

    Args:
        directory: for the files.
        before, after: name of the step that is killed before or after its work.
    """

    def step(name: str) -> Step:
        def work(record: Record) -> Done:
            if name == before:
                os.kill(os.getpid(), signal.SIGKILL)
            mark = directory / name
            if not mark.exists():
                mark.write_text("once")
                with (directory / "done").open("a") as done:
                    done.write(f"{name}\n")
            if name == after:
                os.kill(os.getpid(), signal.SIGKILL)
            then = ALL[2:] if name == "decide" else ()
            return Done({"by": name}, then, outcome="deployed" if name == ALL[-1] else None)

        return work

    return {name: step(name) for name in ALL}


def run(work: dict[str, Step]) -> Record:
    """Go on with the open pass, or begin one."""
    record = journal.unfinished(journal.passes()) or journal.begin(AT, "Ada")
    journal.run(record, FIRST, work)
    return record


def killed(work: Callable[[], object]) -> bool:
    """Run work in a separate process; tell whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def outline(record: Record) -> list[tuple[str, bool, dict[str, str]]]:
    """What a record says, but for times and tries."""
    return [(each["step"], bool(each["ended"]), each["detail"]) for each in record["steps"]]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ALL)
def test_a_pass_that_is_killed_is_taken_up_where_it_was(
    kept: Path, tmp_path_factory: pytest.TempPathFactory, name: str, when: str
) -> None:
    undisturbed = run(steps(tmp_path_factory.mktemp("undisturbed")))
    for path in (kept / "releases/autopilot/passes").iterdir():
        path.unlink()

    assert killed(lambda: run(steps(kept, **{when: name})))
    open_ = journal.unfinished(journal.passes())
    assert open_ is not None
    assert not journal.step(open_, name)["ended"]  # type: ignore[index]
    for ended in ALL[: ALL.index(name)]:
        (kept / ended).unlink()  # so that it would be done again if it was begun again
    record = run(steps(kept))

    assert outline(record) == outline(undisturbed)
    assert record["outcome"] == "deployed"
    assert record["pass"] == open_["pass"]
    assert (kept / "done").read_text().split() == list(ALL)
    assert len(journal.passes()) == 1


def test_a_step_that_fails_is_tried_again_by_the_next_run(kept: Path) -> None:
    work = steps(kept)

    def fail(record: Record) -> Done:
        raise StageError("the disk is full")

    with pytest.raises(StageError):
        run(work | {"train": fail})
    failed = journal.passes()[0]
    record = run(work)

    assert journal.step(failed, "train")["failed"] == "the disk is full"  # type: ignore[index]
    assert record["outcome"] == "deployed"
    assert journal.step(record, "train")["tries"] == 2  # type: ignore[index]


def test_a_pass_ends_where_a_step_says_so(kept: Path) -> None:
    work = steps(kept) | {"decide": lambda record: Done(outcome="nothing", summary="all is well")}

    record = run(work)

    assert (record["outcome"], record["summary"]) == ("nothing", "all is well")
    assert [each["step"] for each in record["steps"]] == list(FIRST)


def test_passes_of_one_moment_do_not_write_over_each_other(kept: Path) -> None:
    names = {run(steps(kept))["pass"] for _ in range(3)}

    assert names == {"2026-01-31T00-00-00", "2026-01-31T00-00-00.2", "2026-01-31T00-00-00.3"}
    assert [record["pass"] for record in journal.passes()] == sorted(names)


def test_a_damaged_record_is_named(kept: Path) -> None:
    run(steps(kept))
    path = next((kept / "releases/autopilot/passes").iterdir())
    path.write_text(json.dumps(["not", "a", "record"]))

    with pytest.raises(OpsError, match=path.name):
        journal.passes()


SHOWS = "import os; print(*sorted(n for n in os.environ if n in {names}))"


@pytest.mark.parametrize(
    ("task", "observed"),
    [
        *((name, "") for name in journal.WITHOUT_KEYS),
        ("release", f"{key_names.AUDIT} {key_names.RELEASE}"),
    ],
)
def test_what_trains_sees_no_key_and_what_signs_does(
    task: str, observed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (key_names.AUDIT, key_names.RELEASE)
    for name in names:
        monkeypatch.setenv(name, "a secret")
    (tmp_path / "shows.py").write_text(SHOWS.format(names=names))
    lines = f"[tool.poe.tasks.{task}]\ncmd = 'python shows.py'\n"
    (tmp_path / "pyproject.toml").write_text(lines)
    moved(monkeypatch, journal, root=tmp_path)

    assert journal.TaskRunner(None).last_line(task) == observed
