"""What ends a process and is no fault of its code is said in a sentence."""

import signal
import subprocess
import sys

import pytest

from rung_ops.project import current

COMMAND, STAGE = "rung_ops.__main__", "rung_ops.stages"
FULL = "OSError(28, 'No space left on device', 'model/model.skops')"
OF_MANY = "__import__('shutil').Error([('a', 'b', '[Errno 28] No space left on device')])"
OF_SQLITE = "RuntimeError('(sqlite3.OperationalError) database or disk is full\\n[SQL: x]')"


def ended(module: str, error: str) -> tuple[int, list[str]]:
    """Let an error end a process that imported a module; return its code and what it printed."""
    words = [sys.executable, "-c", f"import {module}\nraise {error}"]
    done = subprocess.run(words, cwd=current().root, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("module", [COMMAND, STAGE])
def test_ctrl_c_is_said_in_a_sentence_and_ends_the_process_by_the_signal(module: str) -> None:
    assert ended(module, "KeyboardInterrupt") == (
        -signal.SIGINT,
        ["Interrupted. Type it again to go on."],
    )


@pytest.mark.parametrize(
    ("error", "unwritten"),
    [(FULL, ", and model/model.skops was not written"), (OF_MANY, ""), (OF_SQLITE, "")],
)
def test_a_full_disk_is_said_in_a_sentence(error: str, unwritten: str) -> None:
    sentence = f"The disk is full{unwritten}. Make room, and type it again."

    assert ended(COMMAND, error) == (1, [sentence])


def test_another_error_keeps_its_traceback() -> None:
    code, lines = ended(COMMAND, "ValueError('ours')")

    assert code == 1
    assert lines[0] == "Traceback (most recent call last):" and lines[-1] == "ValueError: ours"
