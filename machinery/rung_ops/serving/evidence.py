"""What all processes of an environment have seen of a trial: each writes a file of its own.

They are replicas, workers of one service, and those that have ended: a restart loses nothing. A file
holds counts, times, and predictions by the hash of their key; with LOG_KEYS it is encrypted, like the log.
"""

import hashlib
import shutil
from pathlib import Path
from typing import TypeVar

import msgspec

from rung_ops import prediction_log
from rung_ops.prediction_log import sealed
from rung_ops.release.rollout import Comparison, Trial
from rung_ops.system import atomic
from rung_ops.system.files import UnusableFileError, read_regular, stamp

MAX_BYTES = 64_000_000  # of a file: some hundred kilobytes, of 100 classes 32 megabytes

Stamp = tuple[int, int, int]
Seen = TypeVar("Seen", Trial, Comparison)


class Evidence:
    """Adds up what processes have seen at one stage of a trial, in a folder that they share."""

    def __init__(self, environment: Path) -> None:
        self._folder = environment / "evidence"
        self._writer = prediction_log.writer_name()
        self._stage = self._folder
        self._written = b""
        # What others have written, by file: that of processes that have ended changes no more.
        self._read: dict[Path, tuple[Stamp, Trial | Comparison]] = {}

    def begin(self, stage: str | None) -> None:
        """Start to gather for a stage, which all processes name alike; what others gathered is removed."""
        name = hashlib.sha256(stage.encode()).hexdigest()[:16] if stage is not None else ""
        self._stage, self._written = self._folder / name, b""
        self._read.clear()
        for folder in self._folder.glob("*"):
            if folder != self._stage:
                shutil.rmtree(folder, ignore_errors=True)

    def added(self, own: Seen) -> Seen:
        """Write what this process has seen, and return it with what all others have written.

        Raises:
            OSError: it cannot be written, or is too large for others to read.
        """
        content, path = msgspec.msgpack.encode(own), self._stage / self._writer
        if content != self._written or not path.exists():
            atomic.private_folder(self._folder)
            atomic.private_folder(self._stage)
            file = sealed.seal(content)
            if len(file) > MAX_BYTES:
                raise UnusableFileError(f"{path} would be larger than {MAX_BYTES:,} bytes")
            with atomic.writing(path, private=True) as draft:
                draft.write_bytes(file)
            self._written = content
        for other in sorted(self._stage.glob("w*")):
            if other != path:
                try:
                    own = own + self._of(other, type(own))
                except (OSError, ValueError):  # another version wrote it, or it is being removed
                    continue
        return own

    def _of(self, file: Path, kind: type[Seen]) -> Seen:
        now = stamp(file)
        before, seen = self._read.get(file, (None, None))
        if before == now and isinstance(seen, kind):
            return seen
        content = sealed.unseal(read_regular(file, MAX_BYTES), file)
        made = msgspec.msgpack.decode(content, type=kind)
        self._read[file] = now, made
        return made
