"""Decide whether a version may replace the champion: `uv run poe gate [VERSION]`.

Both are scored on the same test rows. With or without a champion, the version must beat the
best baseline, such as a constant. The verdict and its figures are written to reports/gate.json.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import polars as pl
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rung_ops import contract
from rung_ops.contract import forecast
from rung_ops.gate import rules as gate_rules
from rung_ops.gate.report import publish
from rung_ops.gate.verdict import Champion, Verdict, judge
from rung_ops.project import current
from rung_ops.project.paths import params, shown
from rung_ops.tracking import registry, server_check, source_state, store_address, versions
from rung_ops.tracking.registry import CHALLENGER, CHAMPION
from rung_ops.training.baseline import best

RETRY = "No version was judged: run the command again when the server is back."
REMEDY = "`uv run poe pipeline` makes a version from these rows"
# Scores the test rows with the champion; None without a champion.
ScoreChampion = Callable[[pl.DataFrame], Champion | None]


def verdict(wanted: str = CHALLENGER, rules: gate_rules.Rules | None = None) -> Verdict:
    """Compare a version with the registry's champion; see compare() for the arguments."""
    return compare(registered, wanted, rules)


def compare(
    score_champion: ScoreChampion,
    wanted: str = CHALLENGER,
    rules: gate_rules.Rules | None = None,
) -> Verdict:
    """Compare a registered version with the champion on the test rows.

    Args:
        score_champion: returns the champion with its predictions of the given rows, or None
            without a champion; raises versions.ScoringError if it cannot score them.
        wanted: number or alias of the version.
        rules: of the gate; by default those of ops/gate.toml.

    Raises:
        gate_rules.BadRules: ops/gate.toml cannot be applied.
    """
    rules = rules or gate_rules.read()
    try:
        version = _version(wanted)
    except registry.ServerDownError:
        raise
    except MlflowException as error:
        return Verdict(False, [registry.reason_of(error)], {})
    challenger = versions.origin_of(version)
    reasons = list(mismatches(version))
    if reasons:
        return Verdict(False, reasons, {}, challenger=challenger)
    rows = pl.read_parquet(current().test)
    try:
        champion = score_champion(rows)
        verdict = judge(
            rows,
            versions.predictions(version, current().test),
            champion,
            best(pl.read_parquet(current().train), rows),
            rules,
        )
    except versions.ScoringError as error:
        return Verdict(False, [str(error)], {}, challenger=challenger)
    notes = list(_notes(challenger, champion))
    return replace(verdict, challenger=challenger, notes=notes)


def mismatches(version: ModelVersion) -> Iterator[str]:
    """Yield the reasons why the test rows in data/ cannot judge a version."""
    for path in (
        current().train,
        current().test,
        *([] if forecast.declared() is None else [current().rows]),
    ):
        if not path.is_file():
            yield f"{shown(path)} is missing; {REMEDY}"
            return
    name = f"version {version.version}"
    if version.tags.get("data_hash") != source_state.data_hash():
        yield f"{name} was made from other rows than those in data/; {REMEDY}"
    made = registry.client().get_run(str(version.run_id)).data.params
    settings = params()
    for key, here in (
        ("seed", settings["seed"]),
        ("split.test_share", settings["split"]["test_share"]),
    ):
        if made.get(key) != str(here):
            yield (
                f"{name} was made with {key} = {made.get(key)}, but params.toml has {here}, so it "
                f"may have been trained on these test rows; {REMEDY}"
            )


def registered(rows: pl.DataFrame) -> Champion | None:
    """Score rows with the registry's champion; None if no version has that alias.

    Raises:
        versions.ScoringError: the champion cannot score these rows.
    """
    try:
        version = _version(CHAMPION)
    except registry.NoVersionError:
        return None
    except registry.ServerDownError:
        raise
    except MlflowException as error:
        raise versions.ScoringError(registry.reason_of(error)) from error
    return Champion(
        versions.origin_of(version),
        versions.predictions(version, current().test),
        versions.slices(version),
    )


def _version(wanted: str) -> ModelVersion:
    # A failing server must not count as a verdict against the version.
    with server_check.server_errors(store_address.tracking_uri, RETRY):
        return registry.version(wanted)


def _notes(challenger: dict[str, str], champion: Champion | None) -> Iterator[str]:
    if champion is None:
        return
    if champion.facts.get("run_id") == challenger["run_id"]:
        yield f"version {challenger['version']} is the champion already"
    # A random split of more rows moves training rows of the champion into the test rows.
    elif contract.TIME is None and champion.facts.get("data_hash") != challenger["data_hash"]:
        yield "the champion may have been trained on some of these rows, which favours it"


def main(arguments: list[str] | None = None, judge: Callable[[str], Verdict] = verdict) -> int:
    """Judge a version, print the verdict and write it; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe gate", description=__doc__.splitlines()[0])
    parser.add_argument(
        "version",
        nargs="?",
        default=CHALLENGER,
        help="number or alias of the version; by default the challenger, which is the newest",
    )
    wanted = parser.parse_args(arguments).version
    try:
        with server_check.server_errors(store_address.tracking_uri, RETRY):
            result = judge(wanted)
        return publish(result)
    except gate_rules.BadRules as error:
        print(error, file=sys.stderr)
        return 1
