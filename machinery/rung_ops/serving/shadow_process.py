"""Score the shadow in a separate process, which is given no key and no token.

The shadow may be a release that is not approved yet, so its code stays out of the process
that answers. Requests and answers are frames: a length of eight bytes, then the content.
"""

import io
import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from rung_ops.model import bundle, source_import
from rung_ops.model.bundle import CONTRACT, BundleError
from rung_ops.model.target import ONE_NUMBER, Kind, kind_in
from rung_ops.project import keyless
from rung_ops.project.service_settings import limits
from rung_ops.serving import loaded_release
from rung_ops.serving.hooks import ScoringError
from rung_ops.serving.loaded_release import LoadedRelease

LENGTH = struct.Struct(">Q")
# Of an answer: the shadow scores a few thousand rows at a time, and what it sends is not trusted.
MAX_BYTES = 256 * 1024**2
SCORED, FAILED = b"+", b"-"  # first byte of an answer


class SeparateRelease:
    """A release that another process scores with; it starts at the first score()."""

    def __init__(self, folder: Path) -> None:
        self.id = folder.name
        self.kind = _kind(folder)  # of its predictions, as its contract says
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # of starting and closing
        self._closed = False

    def score(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
        """Evaluate features and model, as release.Release.score()."""
        process = self._started()
        assert process.stdin and process.stdout
        try:
            _send(process.stdin, _table(rows))
            answer = _receive(process.stdout)
            if answer[:1] != SCORED:
                raise ScoringError(answer[1:].decode(errors="replace"))
            features = pl.read_ipc_stream(io.BytesIO(answer[1:]))
            predictions = np.load(io.BytesIO(_receive(process.stdout)), allow_pickle=False)
        except (OSError, EOFError) as error:
            self.close()
            raise ScoringError(f"the process of {self.id} has ended: {error}") from error
        if features.height != rows.height or predictions.shape[:1] != (rows.height,):
            self.close()
            raise ScoringError(f"{self.id} answered {rows.height} rows in another shape")
        return features, predictions

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise ScoringError(f"the process of {self.id} has ended")
            if self._process is None:
                self._process = subprocess.Popen(
                    keyless.command(__name__, str(self._folder)),
                    env=keyless.environment(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            return self._process


def _kind(folder: Path) -> Kind:
    """Read what a release predicts: names alone, as nothing has verified them yet."""
    try:
        return kind_in(json.loads((folder / CONTRACT).read_bytes()))
    except (OSError, ValueError, TypeError, AttributeError):
        return ONE_NUMBER  # its process says what is wrong


def _table(rows: pl.DataFrame) -> bytes:
    written = io.BytesIO()
    rows.write_ipc_stream(written)
    return written.getvalue()


def _array(values: np.ndarray) -> bytes:
    """Write predictions with their shape: of several classes they have a column for each."""
    written = io.BytesIO()
    np.save(written, np.asarray(values, dtype=np.float64), allow_pickle=False)
    return written.getvalue()


def _send(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(LENGTH.pack(len(content)) + content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    (length,) = LENGTH.unpack(_read(pipe, LENGTH.size))
    if length > MAX_BYTES:
        raise EOFError(f"it sent {length:,} bytes; at most {MAX_BYTES:,} are read")
    return _read(pipe, length)


def _read(pipe: IO[bytes], size: int) -> bytes:
    content = pipe.read(size)
    if len(content) < size:
        raise EOFError("it closed its output")
    return content


def _answer(content: bytes, loaded: LoadedRelease | str) -> list[bytes]:
    """Score a table; return the frames of the answer."""
    try:
        if isinstance(loaded, str):
            raise BundleError(loaded)
        rows = pl.read_ipc_stream(io.BytesIO(content))
        if loaded.lookup is not None:
            rows = loaded.lookup.complete(rows, ())
        features, predictions = loaded.release.score(rows)
        return [SCORED + _table(features), _array(predictions)]
    except source_import.FAULTS as error:
        return [FAILED + f"{type(error).__name__}: {error}".encode()]


def main(folder: str) -> None:
    """Answer until the other side closes."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the release's code prints must not reach the answer
    loaded: LoadedRelease | str
    try:
        loaded = loaded_release.load(Path(folder), bundle.public_key(), limits(), "serving")
    except source_import.FAULTS as error:
        loaded = str(error)
    while True:
        try:
            rows = _receive(requests)
        except EOFError:
            return
        for frame in _answer(rows, loaded):
            _send(answers, frame)


if __name__ == "__main__":
    main(sys.argv[1])
