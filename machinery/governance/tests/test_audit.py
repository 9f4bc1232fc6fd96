"""Whatever is done to an audit log without its key is found; nothing that was done is lost."""

import contextvars
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from machinery.governance.tests.conftest import Capture, Patch, Refusal
from rung_governance.approval import audit, keys, signed_log
from rung_governance.approval.keys import AuditLogError
from rung_governance.approval.signed_log import SignedLog
from rung_ops.project import current
from rung_ops.release import history, state


@pytest.fixture
def log(production: Path) -> Path:
    """The audit log of an environment that served, overrode and stopped; five lines."""
    with audit.signed(production) as problems:
        state.serve(production, "v1-aaaaaaaa-bbbbbb", "Ada")
    for number in range(3):
        problems += override(production, str(number))
    with audit.signed(production) as at_the_end:
        state.stop(production, "Olga", "it refuses everybody")
    assert problems + at_the_end == []
    return production


def override(folder: Path, number: str) -> list[str]:
    return audit.record(folder, "override", "Olga", id=number, decision="grant", reason="x")


def lines(folder: Path) -> list[bytes]:
    return (folder / state.HISTORY).read_bytes().splitlines(keepends=True)


def write(folder: Path, content: list[bytes]) -> None:
    (folder / state.HISTORY).write_bytes(b"".join(content))


def chained(events: list[bytes]) -> list[bytes]:
    """Rewrite a chain that fits itself, as anybody can who reads ops/release/history.py."""
    made: list[bytes] = []
    previous = history.START
    for event in map(json.loads, events):
        entry = {n: v for n, v in event.items() if n != "hash"} | {"previous_hash": previous}
        previous = hashlib.sha256(canonical(entry)).hexdigest()
        made.append(canonical(entry | {"hash": previous}) + b"\n")
    return made


def canonical(entry: dict[str, object]) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()


def forged(line: bytes, **changes: object) -> bytes:
    event = json.loads(line)
    return json.dumps(event | changes).encode()


def test_a_log_as_it_was_written_is_verified(log: Path, capsys: Capture) -> None:
    assert audit.report(log) == []
    assert audit.main([]) == 0

    printed = capsys.readouterr().out
    assert "Verified: 5 lines" in printed
    assert printed.count("override") == 3


TAMPERED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a line is changed": lambda log: [log[0], log[1].replace(b"grant", b"deny"), *log[2:]],
    "a line is changed and the chain rewritten": lambda log: chained(
        [log[0], forged(log[1], by="Eve"), *log[2:]]
    ),
    "the last line is changed and its hash made to fit": lambda log: chained(
        [*log[:4], forged(log[4], by="Eve")]
    ),
    "a line is taken out": lambda log: [*log[:2], *log[3:]],
    "a line is taken out and the chain rewritten": lambda log: chained([*log[:2], *log[3:]]),
    "the end is cut off": lambda log: log[:3],
    "the last line is cut off": lambda log: log[:4],
    "everything is cut off": lambda log: [],
    "two lines change places and the chain is rewritten": lambda log: chained(
        [log[0], log[2], log[1], *log[3:]]
    ),
    "a line is put in and the chain rewritten": lambda log: chained(
        [*log[:2], forged(log[1], by="Eve"), *log[2:]]
    ),
    "a line is added": lambda log: chained([*log, forged(log[1], by="Eve")]),
    "the beginning is cut off and the chain rewritten": lambda log: chained(log[1:]),
    "half of the last line is cut off": lambda log: [*log[:4], log[4][:40]],
    "a key is written twice": lambda log: [
        *log[:4],
        log[4].replace(b'"by":', b'"by":"Eve","by":', 1),
    ],
    "a byte is not text": lambda log: [*log[:4], b"\xff" + log[4][1:]],
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
@pytest.mark.tried(
    "Change, remove or add a line of the audit log without its key",
    "`poe audit-log` and `poe monitor` name the line",
)
def test_what_is_done_to_the_log_without_the_key_is_found_also_afterwards(
    log: Path, change: Callable[[list[bytes]], list[bytes]], refusal: Refusal
) -> None:
    before, tampered = lines(log), change(lines(log))
    write(log, tampered)
    assert audit.report(log) != []
    assert "NOT VERIFIED" in refusal(audit.main)

    problems = override(log, "4")  # written in any case, and signed only behind an intact end

    assert b'"id":"4"' in lines(log)[-1]
    assert bool(problems) == (tampered[-1:] != before[-1:])
    assert audit.report(log) != []
    with pytest.raises(audit.UnsignedLogError):  # so nothing is resumed, deployed or rolled back
        audit.require_signature(log)


@pytest.mark.tried(
    "Change a line in the middle of the audit log",
    "`poe audit-log` and `poe monitor` name it, the service finds it at its next start, and "
    "`poe promote`, `deploy`, `resume` and `rollback` refuse",
)
def test_a_signature_of_a_later_line_does_not_hide_a_change_before_it(log: Path) -> None:
    write(log, TAMPERED["a line is changed"](lines(log)))

    assert override(log, "4") == []

    assert "line 2 (override) was changed" in audit.report(log)[0]
    with pytest.raises(audit.UnsignedLogError, match="line 2"):
        audit.require_signature(log)
    with pytest.raises(AuditLogError, match="line 2"):
        SignedLog(log).follow()


def keep(path: Path, count: int) -> None:
    """Keep so many lines of a file."""
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:count]))


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_missing_anchors_leave_lines_unsigned(log: Path, kept: int) -> None:
    keep(log / signed_log.ANCHORS, kept)
    assert f"lines {kept + 1} to 5" in audit.report(log)[0]


def test_anchors_of_another_key_count_for_nothing(log: Path) -> None:
    (log / signed_log.ANCHORS).unlink()
    signed_log.sign_end(log, ec.generate_private_key(ec.SECP256R1()))

    problems = audit.report(log)

    assert "was not signed with the key of governance/audit.pub" in problems[0]
    assert "lines 1 to 5 are not signed" in problems[1]
    assert "not signed with the key of governance/audit.pub" in override(log, "4")[0]


def test_an_anchor_cannot_be_moved_to_another_line_or_environment(log: Path) -> None:
    path = log / signed_log.ANCHORS
    last = json.loads(path.read_bytes().splitlines()[-1])
    for change in ({"lines": 3}, {"head": "0" * 64}, {"at": "2020-01-01"}, {"lines": "x"}):
        path.write_text(json.dumps(last | change) + "\n", encoding="utf-8")
        assert "anchor 1 was not signed" in audit.report(log)[0]
        assert override(log, "4") != []

    staging = log.with_name("staging")
    path.write_text(json.dumps(last) + "\n", encoding="utf-8")
    shutil.copytree(log, staging)

    assert "is about production, not about staging" in audit.report(staging)[0]


def test_a_log_and_its_anchors_that_are_cut_off_together_are_found_by_a_witness(
    log: Path, capsys: Capture
) -> None:
    audit.main([])
    witness = capsys.readouterr().out.split()[-1]
    (log / state.STATE).unlink()  # which knows of the stop, too
    keep(log / state.HISTORY, 3)
    keep(log / signed_log.ANCHORS, 3)

    assert audit.report(log) == []
    assert "was cut off or replaced" in audit.report(log, witness)[0]
    assert audit.main(["--witness", witness]) == 1


def test_no_line_is_signed_beside_a_state_that_is_not_of_the_last_change(log: Path) -> None:
    """The next change would start from that state, and sign it."""
    served = history.read(log / state.HISTORY)[0]
    assert override(log, "4") == []

    state.restore(log, served)  # without the stop

    assert "an older file was put in its place" in override(log, "5")[0]


def test_a_change_that_the_state_knows_and_the_log_lacks_is_named(log: Path) -> None:
    keep(log / state.HISTORY, 4)
    keep(log / signed_log.ANCHORS, 4)
    assert "its last change (stop by Olga" in audit.report(log)[0]


def test_without_a_key_a_line_is_written_and_reported_as_not_signed_for(
    log: Path, monkeypatch: Patch
) -> None:
    with monkeypatch.context() as patch:
        patch.delenv(keys.VARIABLE)
        assert "there is no key to sign it with" in override(log, "4")[0]
    assert "line 6 is not signed" in audit.report(log)[0]

    # The key is back: line 6 stays unsigned until a person has reviewed it.
    assert "6 lines, and 5 of them were signed" in override(log, "5")[0]
    assert "lines 6 to 7 are not signed" in audit.report(log)[0]
    assert audit.main(["--sign"]) == 0
    assert json.loads(lines(log)[-1])["event"] == "reviewed"


def test_a_review_does_not_repair_a_rewritten_log(log: Path, refusal: Refusal) -> None:
    write(log, chained(lines(log)[:4]))
    (log / state.STATE).unlink()
    assert "the first 5 lines are not those that were signed" in refusal(audit.main, "--sign")

    # Nor where the tail of the anchors is torn.
    with (log / signed_log.ANCHORS).open("ab") as file:
        file.write(b"x" * (signed_log.TAIL + 1))

    assert "and 5 of them were signed" in audit.unsigned(log, keys.public_key())
    assert "the first 5 lines are not those that were signed" in refusal(audit.main, "--sign")


def test_a_changed_last_line_is_no_older_state(log: Path) -> None:
    kept = lines(log)
    last = max(n for n, line in enumerate(kept) if b'"generation"' in line)
    kept[last] = kept[last].replace(b'"by":"', b'"by":"x', 1)
    write(log, kept)

    assert not [fault for fault in audit.report(log) if "an older file" in fault]


def test_without_the_public_key_nothing_is_called_verified(
    log: Path, monkeypatch: Patch, refusal: Refusal
) -> None:
    monkeypatch.setattr(keys, "public_key_file", lambda: log / "none.pub")
    assert "nothing can be verified" in refusal(audit.main)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_copy_can_be_verified(log: Path) -> None:
    copy = log.parent / "copy/production"
    shutil.copytree(log, copy, ignore=shutil.ignore_patterns(".*"))
    copy.chmod(0o555)
    assert audit.report(copy) == []


def test_what_people_send_cannot_look_like_a_line_of_its_own(log: Path, capsys: Capture) -> None:
    audit.record(log, "override", "Olga\n2026-01-01  approve  Vera", id="9", reason="\x1b[2J")

    audit.main([])

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\n2026-01-01  approve" not in printed


WRITER = """
import sys
from pathlib import Path
from rung_governance.approval import audit, keys
keys.PUBLIC = Path(sys.argv[2])
for number in range(int(sys.argv[4])):
    name = f"{sys.argv[3]}-{number}"
    audit.record(Path(sys.argv[1]), "override", "Olga", id=name, decision="grant", reason="x")
    print(name, flush=True)
"""


def start(folder: Path, name: str, count: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(keys.public_key_file()), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=current().root,
    )


def ids(folder: Path) -> list[str]:
    return [event["detail"].get("id", "") for event in history.read(folder / state.HISTORY)]


def test_writers_at_the_same_time_lose_nothing_and_sign_for_everything(production: Path) -> None:
    writers = [start(production, name, 20) for name in ("a", "b", "c")]
    for writer in writers:
        writer.communicate(timeout=60)

    assert sorted(ids(production)) == sorted(f"{n}-{i}" for n in "abc" for i in range(20))
    assert audit.report(production) == []


def test_a_writer_that_is_killed_leaves_a_log_that_tells_so_and_goes_on(production: Path) -> None:
    """Kill a writer at moments spread over its work: what it said it wrote is there."""
    for attempt in range(8):
        writer = start(production, str(attempt), 10_000)
        assert writer.stdout is not None
        lines = [writer.stdout.readline().strip() for _ in range(1 + attempt)]
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.read().split()
        writer.wait(timeout=10)
        whole = [name for name in lines if name.count("-") == 1]

        assert set(whole) <= set(ids(production))
        left = audit.report(production)
        assert all("not signed" in each or "to its end" in each for each in left), left
        assert audit.main(["--sign"]) == 0

    assert history.verify(production / state.HISTORY) is None


@pytest.mark.parametrize(("cut", "left"), [(1, 3), (40, 2), (200, 2)])
def test_a_half_written_line_is_repaired_and_that_is_recorded(
    production: Path, cut: int, left: int
) -> None:
    for number in range(3):
        override(production, str(number))
    (production / state.STATE).unlink(missing_ok=True)
    keep(production / signed_log.ANCHORS, 2)
    content = (production / state.HISTORY).read_bytes()
    (production / state.HISTORY).write_bytes(content[:-cut])

    assert "is incomplete" in audit.report(production)[0]
    assert audit.main(["--sign"]) == 0

    events = history.read(production / state.HISTORY)
    assert [event["event"] for event in events] == ["override"] * left + ["repaired", "reviewed"]


def test_an_anchor_that_was_written_in_half_is_written_again(production: Path) -> None:
    for number in range(3):
        override(production, str(number))
    path = production / signed_log.ANCHORS
    path.write_bytes(path.read_bytes()[:-30])

    assert "the last anchor was not written to its end" in audit.report(production)[0]
    assert audit.main(["--sign"]) == 0
    assert audit.report(production) == []


@pytest.mark.tried(
    "Write a line into the audit log while a command signs its own",
    "it stays unsigned, and what follows too",
)
def test_a_line_that_somebody_else_writes_meanwhile_is_not_signed_along(log: Path) -> None:
    with audit.signed(log) as problems:
        state.note(log, "override", "Olga")
        # As another process does it, which this one has not asked to.
        contextvars.Context().run(state.serve, log, "v9-cccccccc-dddddd", "Eve")

    assert "somebody else wrote a line meanwhile" in problems[0]
    assert "lines 6 to 7 are not signed" in audit.report(log)[0]


READ = Path("/proc/self/io")


def bytes_read() -> int:
    return int(READ.read_text().split()[1])


def grow(folder: Path, count: int) -> None:
    """Add signed lines to an audit log at once, and an anchor for each."""
    made, last = [], json.loads(lines(folder)[-1])
    for number in range(count):
        detail = {"id": str(number), "decision": "grant", "reason": "x" * 1_000}
        made.append(
            history.line_of(last := history.new_event(last["hash"], "override", "O", detail))
        )
    write(folder, [*lines(folder), *made])
    signed_log.sign_end(folder, keys.private_key())
    with (folder / signed_log.ANCHORS).open("r+b") as opened:
        opened.write(opened.readlines()[-1] * count)


@pytest.mark.skipif(not READ.exists(), reason="this system does not count what a process reads")
def test_a_line_costs_as_much_behind_a_hundred_lines_as_behind_four_thousand(log: Path) -> None:
    read = []
    for length in (100, 4_000):
        grow(log, length - len(lines(log)))
        assert override(log, "first") == []  # imports what it needs, and finds the last change
        before = bytes_read()
        assert override(log, "second") == []
        read.append(bytes_read() - before)

    assert audit.report(log) == []
    # The last change is looked for by its time: a few reads more, in a log of 4 MB more.
    assert abs(read[1] - read[0]) < 4 * history.BLOCK, read
