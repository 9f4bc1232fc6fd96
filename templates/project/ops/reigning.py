"""Whether the version that is champion may be it, asked of the registry that is in use.

A registry that cannot be asked is no fault of the records: `poe check` has to pass offline. It is
said then that nobody looked.

Rung keeps this file; change it through src/ and params.toml.
"""

import os
from pathlib import Path

from ops import promote
from ops.settings import ROOT, shared

PATIENCE = 2.0  # seconds for a server to answer: whoever types `poe check` waits for it
LATER = "Where it can be reached, `uv run poe records` looks."


def problems() -> tuple[list[str], str]:
    """Say what speaks against the champion.

    Returns:
        The objections, and why nobody looked; both empty where all is well.
    """
    # MLflow takes seconds to import, and is left alone where no run can have been recorded.
    places = (ROOT / "mlflow.db", shared("tracking.toml"))
    if not os.environ.get("MLFLOW_TRACKING_URI") and not any(map(Path.is_file, places)):
        return [], ""
    from ops import reach, registry

    uri = registry.tracking_uri()
    if uri.startswith(registry.SQLITE) and not Path(uri.removeprefix(registry.SQLITE)).is_file():
        return [], ""
    if reach.is_server(uri):
        wrong = reach.problem(uri, PATIENCE)
        if wrong:
            return [], _not_looked(wrong)
    try:
        with reach.kept_up(lambda: uri, ""):
            return promote.objections_to_the_champion(), ""
    except registry.ServerDown as down:
        return [], _not_looked(str(down))


def _not_looked(why: str) -> str:
    return f"Whether the champion is approved was not looked at. {why.strip()} {LATER}"
