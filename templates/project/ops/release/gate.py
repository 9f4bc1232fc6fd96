"""Say whether a version may replace what production serves: `uv run poe gate [VERSION]`.

Where production serves nothing yet, the registry's champion stands in, and without one the
version must beat the rule that ignores every feature. The verdict goes to reports/gate.json,
and `poe deploy production` asks for it.

Rung keeps this file; change it through src/, params.toml and gate.toml.
"""

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl

from ops import gate, gate_rules, registry, versions
from ops.gate_verdict import Champion, Verdict
from ops.release import bundle, places, sources, state
from ops.service import release
from ops.service.settings import ANY_SPEED


def verdict(asked: str = registry.CHALLENGER, rules: gate_rules.Rules | None = None) -> Verdict:
    """Judge a version of the registry by what production serves.

    Args:
        asked: its number or alias.
        rules: what it must show; those of gate.toml unless given.

    Raises:
        gate_rules.BadRules: gate.toml cannot be applied.
    """
    return gate.hold(champion, asked, rules)


def champion(rows: pl.DataFrame) -> Champion | None:
    """Score rows with the release that production serves, else with the registry's champion.

    Raises:
        versions.CannotScore: there is one, and it gives no predictions of these rows.
    """
    folder = places.environment(places.PRODUCTION)
    try:
        served = state.read(folder).serving
        if served is None:
            return gate.registered(rows)
        path = places.bundle(folder, served)
        loaded = release.load(path, places.public_key().read_bytes(), ANY_SPEED)
    except (state.BadState, bundle.BadBundle, OSError) as error:
        raise versions.CannotScore(f"the release in production cannot be used: {error}") from error
    try:
        _, predictions = loaded.score(rows)
    except sources.FAULTS as error:
        raise versions.CannotScore(
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
    return gate.main(arguments, verdict)


if __name__ == "__main__":
    sys.exit(main())
