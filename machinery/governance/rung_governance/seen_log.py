"""How far an audit log was seen signed, kept beside the prediction log: in a second place.

After a restart a service knows nothing but files. Whoever puts back old ones in the folder of the
releases, to undo a stop, would have to put back this one too.
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rung_ops.project.paths import placed
from rung_ops.system import atomic
from rung_ops.system.files import read_regular

FILE = "audit-log-seen.json"
MAX_BYTES = 1_000


@dataclass(frozen=True)
class Seen:
    """That a log had so many signed lines, the last with this hash."""

    lines: int
    head: str


def path(environment: str) -> Path:
    """Return the file of an environment, below logs/ or $LOGS."""
    return placed("LOGS", "logs") / environment / FILE


def read(environment: str) -> Seen | None:
    """Read how far the log of an environment was seen; None if not noted yet."""
    try:
        data = json.loads(read_regular(path(environment), MAX_BYTES))
        return Seen(int(data["lines"]), str(data["head"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note(environment: str, seen: Seen) -> None:
    """Note how far the log of an environment is seen, where the disk takes it."""
    file = path(environment)
    with contextlib.suppress(OSError):  # it is a second look: what answers goes on without
        atomic.private_folder(file.parent)
        atomic.write(file, json.dumps(asdict(seen)).encode())
