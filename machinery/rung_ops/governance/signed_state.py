"""Read what production wants served, as far as its audit log is signed for."""

from pathlib import Path
from typing import Any

from rung_ops.governance import keys, signatures
from rung_ops.governance.admission import Admission
from rung_ops.governance.signed_log import Distrusted, SignedLog
from rung_ops.serving.state_reader import Objection, Reading, StateReader


class SignedStateReader(StateReader):
    """Follows an environment in which only approved releases may answer."""

    def __init__(self, folder: Path) -> None:
        """Follow the folder of an environment."""
        super().__init__(folder)
        self._log = SignedLog(folder)
        self._admission = Admission(self._log, signatures.signers_file())

    def read(self) -> Reading:
        """Read state and log."""
        reading = super().read()
        problem = self._follow()
        if not problem:
            return reading
        return Reading(reading.state, (*reading.problems, problem), is_valid=False)

    def objection(self, manifest: dict[str, Any]) -> Objection | None:
        """Say what speaks against the release of a verified manifest."""
        return self._admission.objection(manifest)

    def _follow(self) -> str:
        """Read what is new in the log; return what is wrong with it."""
        try:
            self._log.follow()
        except (Distrusted, keys.NoKey) as error:
            return f"The audit log cannot be relied on: {error}. See `uv run poe audit-log`."
        except OSError:
            return ""  # unreachable; what it said before goes on to count
        return ""
