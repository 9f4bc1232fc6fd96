"""The gate of production: whether a version may replace what it serves, `uv run poe gate [VERSION]`.

Before the first deployment to production, the version is compared with the registry's champion;
without a champion, with the baseline that ignores every feature. The verdict is written to
reports/gate.json; `poe deploy production` requires it.
"""

import json
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.data import blocks
from rung_ops.errors import VersionError
from rung_ops.features.point_in_time import join
from rung_ops.features.sources import Events
from rung_ops.gate import registry_gate
from rung_ops.gate import rules as gate_rules
from rung_ops.gate.judge import Champion, unseen_rows
from rung_ops.gate.verdict import Verdict
from rung_ops.model import bundle, released, source_import
from rung_ops.project import current, paths
from rung_ops.project.service_settings import ANY_SPEED
from rung_ops.release import state
from rung_ops.tracking import registry, versions

JUDGED = "the model that judged its settings is compared"


def verdict(wanted: str = registry.CHALLENGER, rules: gate_rules.Rules | None = None) -> Verdict:
    """Compare a registered version with the release that production serves, by ops/gate.toml or `rules`."""
    return registry_gate.compare(champion, wanted, rules)


def champion(rows: pl.LazyFrame) -> Champion | None:
    """Score rows with the release that production serves, or else with the registry's champion, if any.

    Raises:
        VersionError: the champion cannot score these rows.
    """
    folder = paths.environment(paths.PRODUCTION)
    try:
        served = state.read(folder).serving
        if served is None:
            return registry_gate.registered(rows)
        path = paths.bundle(folder, served)
        loaded = released.load(path, bundle.public_key(), ANY_SPEED)
        files = loaded.files
        slices = json.loads(files.read(bundle.SLICES)) if bundle.SLICES in files else []
    except (state.StateError, bundle.BundleError, OSError) as error:
        raise VersionError(f"the release in production cannot be used: {error}") from error
    origin = {"release": served} | versions.origin_in(loaded.manifest)
    until, notes = loaded.manifest.get("trained_until"), []
    unseen = unseen_rows(
        rows.select(filter(None, (contract.TIME, contract.ORIGIN))).collect(), until
    )
    newer = 0 if unseen is None else int(unseen.sum())
    if loaded.manifest.get("refit") and newer < gate_rules.read().min_rows:
        # Too few are new to it: the settings are compared, by the models that judged them.
        if (judged := _judged(loaded.manifest)) is not None:
            note = f"{served} was fitted again to these rows, so {JUDGED}"
            return Champion(origin, judged, slices, notes=[note])
        if unseen is None:
            notes.append(f"{served} was fitted again to these rows, which favours it")
    try:
        events = Events(current().root)
        parts = [
            loaded.score(join(block, loaded.entity_features, events=events))[1]
            for block in blocks.in_blocks(rows)
        ]
        predictions = parts[0] if len(parts) == 1 else np.concatenate(parts)
    except source_import.FAULTS as error:
        raise VersionError(
            f"{served} cannot score the test rows: {type(error).__name__}: {error}. Keep the "
            "columns that it reads in Row until production serves a version without them."
        ) from error
    return Champion(origin, predictions, slices, until, notes)


def _judged(manifest: dict[str, Any]) -> np.ndarray | None:
    """Predict the test rows with the model that judged a release's settings; None if it is gone."""
    try:
        version = registry.version(manifest["version"])
        if version.run_id != manifest.get("run_id"):
            return None
        return versions.predictions(version, current().test)
    except (registry.MlflowException, VersionError):
        return None


main = registry_gate.gate_verb(verdict)
