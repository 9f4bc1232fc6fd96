"""Make a pass of the autopilot that is killed: run in the project, by its Python.

    killed_pass.py NUMBER before|after OPTIONS...

The process kills itself before or after it writes its journal for the NUMBERth time. So with
`before`, a step has done its work unrecorded; with `after`, a step has begun and done nothing.
"""

import os
import signal
import sys

sys.path.insert(0, os.getcwd())

from rung_ops.autopilot import journal
from rung_ops.autopilot import passes

number, when = int(sys.argv[1]), sys.argv[2]
save, saved = journal.save, 0


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def counted(record: journal.Record) -> None:
    global saved
    saved += 1
    if (saved, when) == (number, "before"):
        kill()
    save(record)
    if (saved, when) == (number, "after"):
        kill()


journal.save = counted
sys.exit(passes.main(sys.argv[3:]))
