"""Upload the prediction log to the bucket of $LOGS, from a thread that no request waits for."""

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from rung_ops.prediction_log.log_bucket import Uploads
from rung_ops.system.patience import without_retries
from rung_ops.system.printable import counted

LOG = logging.getLogger("service")

SECONDS = 10.0  # between two looks at the folder
MAX_SECONDS = 300.0  # between two tries while the bucket cannot be used, twice as many each time
CLOSING_SECONDS = 0.5  # the same while the service ends


class LogUpload:
    """Brings what one process logs to the bucket; while that is away, all stays on this machine."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._failing_since = self._reason = ""
        self._closes: float | None = None  # monotonic seconds
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-upload", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str | None:
        """Why, and since when, the bucket lacks parts of the log; None if it does not."""
        if not self._reason:
            return None
        return (
            f"{self._reason}. Since {self._failing_since} the prediction log stays on this machine: "
            f"{counted(self._uploads.waiting, 'file')} to upload."
        )

    def close(self, seconds: float) -> None:
        """Upload all that is written, within `seconds`; what is left waits for the next start here."""
        self._closes = time.monotonic() + seconds
        self._wake.set()
        self._thread.join(seconds)
        if self._thread.is_alive() or self._reason:
            LOG.warning("Files of the prediction log are not in the bucket. %s", self.problem or "")

    def _run(self) -> None:
        wait = SECONDS
        with without_retries():
            while self._closes is None:
                wait = SECONDS if self._upload() else min(wait * 2, MAX_SECONDS)
                self._wake.wait(wait)
            while not self._upload(everything=True) and time.monotonic() < self._closes:
                time.sleep(CLOSING_SECONDS)

    def _upload(self, everything: bool = False) -> bool:
        try:
            self._uploads.run(everything)
        except BaseException as error:  # none may end this thread, nor may a panic of the client
            if not self._reason:
                self._failing_since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
                LOG.error("The prediction log cannot be uploaded: %s", error)
            self._reason = str(error).rstrip(".")
            return False
        self._reason = ""
        return True


def start(log: Path, writer: str, address: str) -> LogUpload:
    """Start to upload what a process of the service logs to a folder."""
    return LogUpload(Uploads(log, writer, address))
