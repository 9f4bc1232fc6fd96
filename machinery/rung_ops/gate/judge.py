"""Say whether a version may replace the champion, by the same rows: `uv run poe gate [VERSION]`.

Without a champion it must beat the rule that ignores every feature, as it must beside one. The
verdict, with every figure that it rests on, goes to reports/gate.json.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import polars as pl
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rung_ops import contract
from rung_ops.gate import rules as gate_rules
from rung_ops.gate.report import tell
from rung_ops.gate.verdict import Champion, Verdict, judge
from rung_ops.project.paths import TEST, TRAIN, params, shown
from rung_ops.tracking import registry, server_check, source_state, store_address, versions
from rung_ops.tracking.registry import CHALLENGER, CHAMPION
from rung_ops.training.baseline import baseline

# What the registry answers where there is no such version, alias or model.
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
AGAIN = "Nothing was judged: type it again when it is back."
REMEDY = "`uv run poe pipeline` brings them in step"
# Finds the champion, and names the test rows that it can be judged on.
Find = Callable[[pl.DataFrame], Champion | None]


def verdict(asked: str = CHALLENGER, rules: gate_rules.Rules | None = None) -> Verdict:
    """Judge a version by the registry's champion; for the arguments see hold()."""
    return hold(registered, asked, rules)


def hold(find: Find, asked: str = CHALLENGER, rules: gate_rules.Rules | None = None) -> Verdict:
    """Judge a version of the registry.

    Args:
        find: gives the champion with its predictions of the rows it is handed, None where there
            is none; versions.ScoringError where it cannot be compared.
        asked: number or alias of the version.
        rules: what it must show; those of ops/gate.toml unless given.

    Raises:
        gate_rules.BadRules: ops/gate.toml cannot be applied.
    """
    rules = rules or gate_rules.read()
    try:
        version = _version(asked)
    except registry.ServerDownError:
        raise
    except MlflowException as error:
        return Verdict(False, [_no_version(asked, error)], {})
    challenger = versions.origin_of(version)
    reasons = list(out_of_step(version))
    if reasons:
        return Verdict(False, reasons, {}, challenger=challenger)
    rows = pl.read_parquet(TEST)
    try:
        champion = find(rows)
        verdict = judge(
            rows,
            versions.predictions(version, TEST),
            champion,
            baseline(pl.read_parquet(TRAIN), rows),
            rules,
        )
    except versions.ScoringError as error:
        return Verdict(False, [str(error)], {}, challenger=challenger)
    notes = list(_notes(challenger, champion))
    return replace(verdict, challenger=challenger, notes=notes)


def out_of_step(version: ModelVersion) -> Iterator[str]:
    """Say why a version cannot be judged by the test rows that are here."""
    for path in (TRAIN, TEST):
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
                f"{name} was made with {key} = {made.get(key)} and params.toml says {here}, so it "
                f"may have learned from these test rows; {REMEDY}"
            )


def registered(rows: pl.DataFrame) -> Champion | None:
    """Score rows with the registry's champion; None where no version has that alias."""
    try:
        version = _version(CHAMPION)
    except registry.ServerDownError:
        raise
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return None
        raise versions.ScoringError(
            f"the registry does not answer: {_first_line(error)}"
        ) from error
    return Champion(
        versions.origin_of(version), versions.predictions(version, TEST), versions.slices(version)
    )


def _version(asked: str) -> ModelVersion:
    # A server that fails says nothing of a version, which may not be refused for that.
    with server_check.kept_up(store_address.tracking_uri, AGAIN):
        return registry.version(asked)


def _notes(challenger: dict[str, str], champion: Champion | None) -> Iterator[str]:
    if champion is None:
        return
    if champion.facts.get("run_id") == challenger["run_id"]:
        yield f"version {challenger['version']} is the champion already"
    # A random split of more rows moves rows that the champion learned from into the test.
    elif contract.TIME is None and champion.facts.get("data_hash") != challenger["data_hash"]:
        yield "the champion may have learned from some of these rows, which favours it"


def _no_version(asked: str, error: MlflowException) -> str:
    if error.error_code not in UNKNOWN:
        return f"the registry does not answer: {_first_line(error)}"
    if there := registry.versions():
        numbers = ", ".join(str(each.version) for each in there)
        return f"the registry has no version {asked}; it has {numbers}"
    return "the registry has no version yet: `uv run poe pipeline` makes the first one"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def main(arguments: list[str] | None = None, judge: Callable[[str], Verdict] = verdict) -> int:
    """Judge a version and tell what was found; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe gate", description=__doc__.splitlines()[0])
    parser.add_argument(
        "version",
        nargs="?",
        default=CHALLENGER,
        help="its number or its alias; the newest one, the challenger, unless you say so",
    )
    asked = parser.parse_args(arguments).version
    try:
        with server_check.kept_up(store_address.tracking_uri, AGAIN):
            found = judge(asked)
        return tell(found)
    except gate_rules.BadRules as error:
        print(error, file=sys.stderr)
        return 1
