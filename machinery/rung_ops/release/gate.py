"""Say whether a version may replace what production serves: `uv run poe gate [VERSION]`.

Where production serves nothing yet, the registry's champion stands in, and without one the
version must beat the rule that ignores every feature. The verdict goes to reports/gate.json,
and `poe deploy production` asks for it.
"""

import json
from pathlib import Path
from typing import Any

import polars as pl

from rung_ops.gate import judge
from rung_ops.gate import rules as gate_rules
from rung_ops.gate.verdict import Champion, Verdict
from rung_ops.release import bundle, paths, source_import, state
from rung_ops.serving import release
from rung_ops.serving.settings import ANY_SPEED
from rung_ops.tracking import registry, versions


def verdict(asked: str = registry.CHALLENGER, rules: gate_rules.Rules | None = None) -> Verdict:
    """Judge a version of the registry by what production serves.

    Args:
        asked: its number or alias.
        rules: what it must show; those of ops/gate.toml unless given.

    Raises:
        gate_rules.BadRules: ops/gate.toml cannot be applied.
    """
    return judge.hold(champion, asked, rules)


def champion(rows: pl.DataFrame) -> Champion | None:
    """Score rows with the release that production serves, else with the registry's champion.

    Raises:
        versions.ScoringError: there is one, and it gives no predictions of these rows.
    """
    folder = paths.environment(paths.PRODUCTION)
    try:
        served = state.read(folder).serving
        if served is None:
            return judge.registered(rows)
        path = paths.bundle(folder, served)
        loaded = release.load(path, paths.public_key().read_bytes(), ANY_SPEED)
    except (state.BadState, bundle.BadBundle, OSError) as error:
        raise versions.ScoringError(f"the release in production cannot be used: {error}") from error
    try:
        _, predictions = loaded.score(rows)
    except source_import.FAULTS as error:
        raise versions.ScoringError(
            f"{served} cannot score the test rows: {type(error).__name__}: {error}. Leave Row the "
            "columns that it reads until a version that does without them answers."
        ) from error
    known = {name: str(loaded.manifest.get(name, "")) for name in versions.ORIGIN}
    return Champion({"release": served} | known, predictions, _slices(path))


def _slices(folder: Path) -> list[dict[str, Any]]:
    path = folder / bundle.SLICES
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []


def main(arguments: list[str] | None = None) -> int:
    """Judge a version by what production serves; return the exit code."""
    return judge.main(arguments, verdict)
