"""The gate of production: whether a version may replace what it serves, `uv run poe gate [VERSION]`.

Before the first deployment to production, the version is compared with the registry's champion;
without a champion, with the baseline that ignores every feature. The verdict is written to
reports/gate.json; `poe deploy production` requires it.
"""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from rung_ops import contract
from rung_ops.features.point_in_time import join
from rung_ops.gate import registry_gate
from rung_ops.gate import rules as gate_rules
from rung_ops.gate.judge import Champion
from rung_ops.gate.verdict import Verdict
from rung_ops.model import bundle, released, source_import, verification
from rung_ops.model.bundle import ReleaseFiles
from rung_ops.project import current, release_folders
from rung_ops.project.service_settings import ANY_SPEED
from rung_ops.release import make, state
from rung_ops.tracking import registry, versions
from rung_ops.tracking.model_bytes import VersionError

JUDGED = "the model that judged its settings is compared"


def verdict(wanted: str = registry.CHALLENGER, rules: gate_rules.Rules | None = None) -> Verdict:
    """Compare a registered version with the release that production serves.

    Args:
        wanted: number or alias of the version.
        rules: of the gate; by default those of ops/gate.toml.

    Raises:
        SettingsError: ops/gate.toml cannot be applied.
    """
    return registry_gate.compare(champion, wanted, rules)


def champion(rows: pl.DataFrame) -> Champion | None:
    """Score rows with the release that production serves, or else with the registry's champion.

    Returns:
        The champion and its predictions, shape (n_rows,); None without a champion.

    Raises:
        VersionError: the champion cannot score these rows.
    """
    folder = release_folders.environment(release_folders.PRODUCTION)
    try:
        served = state.read(folder).serving
        if served is None:
            return registry_gate.registered(rows)
        path = release_folders.bundle(folder, served)
        loaded = released.load(path, verification.public_key(), ANY_SPEED)
        slices = _slices(loaded.files)
    except (state.StateError, bundle.BundleError, OSError) as error:
        raise VersionError(f"the release in production cannot be used: {error}") from error
    origin = {"release": served} | make.origin(loaded.manifest)
    notes = []
    if has_learned(loaded.manifest, rows):
        try:
            judged = registry.version(loaded.manifest["version"])
            if judged.run_id == loaded.manifest.get("run_id"):
                predictions = versions.predictions(judged, current().test)
                notes.append(f"{served} was fitted again to some of these rows, so {JUDGED}")
                return Champion(origin, predictions, slices, None, notes)
        except (registry.MlflowException, VersionError):
            pass
        if contract.TIME is None:
            notes.append(f"{served} was fitted again to these rows, which favours it")
    try:
        _, predictions = loaded.score(join(rows, loaded.entity_features))
    except source_import.FAULTS as error:
        raise VersionError(
            f"{served} cannot score the test rows: {type(error).__name__}: {error}. Keep the "
            "columns that it reads in Row until production serves a version without them."
        ) from error
    until = loaded.manifest.get("trained_until")
    return Champion(origin, predictions, slices, until, notes)


def has_learned(manifest: Mapping[str, Any], rows: pl.DataFrame) -> bool:
    """Tell whether a release was fitted again to some of these rows, or may have been."""
    if not manifest.get("refit"):
        return False
    if contract.TIME is None or not manifest.get("trained_until"):
        return True
    first: date = rows[contract.TIME].min()  # type: ignore[assignment]
    return first.isoformat() <= str(manifest["trained_until"])


def _slices(files: ReleaseFiles) -> list[dict[str, Any]]:
    return list(json.loads(files.read(bundle.SLICES))) if bundle.SLICES in files else []


main = registry_gate.gate_verb(verdict)
