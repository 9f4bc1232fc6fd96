"""The gate of the registry: whether a version may replace the champion, `uv run poe gate [VERSION]`.

Both are scored on the same test rows. With or without a champion, the version must beat the
best baseline, such as a constant. The verdict and its figures are written to reports/gate.json,
and kept in reports/gate/, where each version has its last one.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import click
import polars as pl
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rung_ops import contract
from rung_ops.command import Verb, verb
from rung_ops.contract import forecast
from rung_ops.data import blocks
from rung_ops.errors import VersionError
from rung_ops.gate import rules as gate_rules
from rung_ops.gate.judge import Champion, judge
from rung_ops.gate.verdict import GAINS, Verdict, name_of, rows_in_words
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import files
from rung_ops.system.printable import in_column, printable
from rung_ops.tracking import last_run, registry, store_address, versions
from rung_ops.tracking.registry import CHALLENGER, CHAMPION
from rung_ops.training import judged_rows
from rung_ops.training.baseline import best, in_words

RETRY = "No version was judged: run the command again when the server is back."
REMEDY = "`uv run poe pipeline` makes a version from these rows"
# Scores the test rows with the champion; None without a champion.
ScoreChampion = Callable[[pl.LazyFrame], Champion | None]


def registry_verdict(wanted: str = CHALLENGER) -> Verdict:
    """Compare a version with the registry's champion."""
    return compare(registered, wanted)


def compare(
    score_champion: ScoreChampion, wanted: str = CHALLENGER, rules: gate_rules.Rules | None = None
) -> Verdict:
    """Compare a registered version, by number or alias, with the champion on the test rows.

    `score_champion` returns the champion with its predictions of the given rows, or None without a
    champion; it raises VersionError if it cannot score them.
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
    rows = judged_rows.read(current().test)
    try:
        predictions = versions.predictions(version, current().test)
        champion = score_champion(blocks.scan(current().test))
        if champion and champion.facts.get("run_id") == challenger["run_id"]:
            # A release may be fitted again on the test rows; it is the same version all the same.
            champion = replace(champion, predictions=predictions, trained_until=None)
        simple = best(judged_rows.read(current().train, slices=False), rows)
        verdict = judge(rows, predictions, champion, simple, rules)
    except VersionError as error:
        return Verdict(False, [str(error)], {}, challenger=challenger)
    notes = [*_notes(challenger, champion), *verdict.notes]
    return replace(verdict, challenger=challenger, notes=notes)


def mismatches(version: ModelVersion) -> Iterator[str]:
    """Yield the reasons why the test rows in data/ cannot judge a version."""
    of_forecast = [] if forecast.declared() is None else [current().rows]
    for path in (current().train, current().test, *of_forecast):
        if not path.is_file():
            yield f"{shown(path)} is missing; {REMEDY}"
            return
    name = f"version {version.version}"
    if version.tags.get("data_hash") != last_run.data_hash():
        yield f"{name} was made from other rows than those in data/; {REMEDY}"
    for key, was, here in versions.other_split(version):
        yield (
            f"{name} was made with {key} = {was}, but params.toml has {here}, so it "
            f"may have been trained on these test rows; {REMEDY}"
        )


def registered(rows: pl.LazyFrame) -> Champion | None:
    """Score rows with the registry's champion; None if no version has that alias.

    Raises:
        VersionError: the champion cannot score these rows.
    """
    try:
        version = _version(CHAMPION)
    except registry.NoVersionError:
        return None
    except registry.ServerDownError:
        raise
    except MlflowException as error:
        raise VersionError(registry.reason_of(error)) from error
    return Champion(
        versions.origin_of(version),
        versions.predictions(version, current().test),
        versions.slices(version),
    )


def _version(wanted: str) -> ModelVersion:
    # A failing server must not count as a verdict against the version.
    with registry.server_errors(store_address.tracking_uri, RETRY):
        return registry.version(wanted)


def _notes(challenger: dict[str, str], champion: Champion | None) -> Iterator[str]:
    yield from last_run.newer(challenger)
    if champion is None or champion.facts.get("run_id") == challenger["run_id"]:
        return
    yield from champion.notes
    yield f"against {name_of(champion.facts)}: {versions.changes(challenger, champion.facts)}"
    # A random split of more rows moves training rows of the champion into the test rows.
    if contract.TIME is None and champion.facts.get("data_hash") != challenger["data_hash"]:
        yield "the champion may have been trained on some of these rows, which favours it"


def gate_verb(judge: Callable[[str], Verdict]) -> Verb:
    """Make the verb `poe gate`, which judges a version, prints the verdict and writes it."""

    @verb("poe gate")
    @click.argument("version", metavar="[VERSION]", default=CHALLENGER)
    def run(version: str) -> int:
        """Decide whether a version may replace the champion.

        VERSION is its number or alias; by default the challenger, which is the newest.
        """
        with registry.server_errors(store_address.tracking_uri, RETRY):
            result = judge(version)
        return publish(result)

    return run


main = gate_verb(registry_verdict)


def publish(verdict: Verdict) -> int:
    """Print a verdict and write it to reports/gate.json; return the exit code.

    If no version was judged, the file keeps the verdict on the last one that was.
    """
    path, champion, challenger = gate_rules.verdict_file(), verdict.champion, verdict.challenger
    name = name_of(challenger)
    if challenger:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = asdict(verdict) | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
        text = (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
        files.write(path, text)
        if version := challenger.get("version"):
            gate_rules.verdict_folder().mkdir(exist_ok=True)
            files.write(gate_rules.verdict_folder() / f"version-{version}.json", text)
    for line in [*table(verdict), *needs(verdict)]:
        print(line)
    for note in verdict.notes:
        print(f"note: {printable(note)}")
    if verdict.promote:
        run = challenger.get("run_id")
        action = f"can replace {name_of(champion)}" if champion else "can be the first release"
        if champion and run and champion.get("run_id") == run:
            action = "is the champion already, so there is nothing to replace"
        print(f"Passed: {name} {action}.")
        return 0
    sys.stdout.flush()
    refused = f"the figures of {name} pass, but an approval is missing"
    if not challenger:
        refused = "no version was judged"
    elif verdict.reasons:
        refused = f"{name} does not pass"
    lines = [f"Refused: {refused}."]
    lines += [f"- {printable(reason)}" for reason in (*verdict.reasons, *verdict.awaits)]
    if challenger:
        lines.append(f"All figures: {shown(path)}; rules: ops/gate.toml")
    elif kept := _kept():
        lines.append(f"{shown(path)} still has the verdict on {kept}.")
    print("\n".join(lines), file=sys.stderr)
    return 1


def _kept() -> str:
    """Name the version of the verdict that is in the file; empty if there is none."""
    try:
        challenger = json.loads(gate_rules.verdict_file().read_bytes())["challenger"]
        return printable(name_of(challenger)) if challenger else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def table(verdict: Verdict) -> Iterator[str]:
    """Format the figures as lines of a table."""
    figures = verdict.figures
    if "slices" not in figures:
        return
    champion = figures.get("champion")
    heads = ("challenger", "champion" if champion else "", "gain")
    yield f"{figures['metric']} on {figures['rows']:,} held-out rows"
    yield ""
    yield _line("", "", *heads)
    challenger = figures["challenger"]
    if champion:
        rows, own = champion["rows"], champion["challenger"]
        yield _line("all", rows, own, champion["figure"], champion["gain"])
        yield _line("", "", "", f"at least ({1 - figures['alpha']:.1%})", champion["gain_low"])
        yield _line("", "", "", "needed", -champion["margin"])
        if enough := champion["probability_needed"]:
            chance = f"{champion['probability_better']:.1%}"
            yield _line("", "", "", f"or better ({enough:.0%})", chance)
    simplest = figures["baseline"]
    label = in_words(simplest["name"])
    yield _line(label, figures["rows"], challenger, simplest["figure"], simplest["gain"])
    if held := figures.get("interval"):
        label = f"in the {held['promised']:.0%} interval"
        yield _line(label, figures["rows"], held["challenger"], held.get("champion"), None)
    judged = [each for each in figures["slices"] if each["judged"]]
    for each in judged:
        label = printable(f"{each['column']} {each['value']}")
        ours, theirs, gain = each["challenger"], each["champion"], None
        if ours is not None and theirs is not None:
            gain = ours - theirs if figures["higher_is_better"] else theirs - ours
        yield _line(label, each["rows"], ours, theirs, gain)
    if few := len(figures["slices"]) - len(judged):
        yield f"{few} slice{'s' if few > 1 else ''} with too few rows to judge"
    yield ""


def needs(verdict: Verdict) -> Iterator[str]:
    """Say how many rows a decision needs, and how often this one is right."""
    if text := rows_in_words(verdict.rows_needed):
        yield f"{text}."
    if champion := verdict.figures.get("champion"):
        shares = {name: champion["passes"][f"{gain:+g}"] for gain, name in GAINS.items()}
        chances = ", ".join(
            f"{name} {f'{share:.0%}' if share >= 0.005 else 'below 1%'}"
            for name, share in shares.items()
        )
        yield f"Chance to pass on these rows, by what a version truly is: {chances}."


def _line(label: str, rows: Any, challenger: Any, other: Any, gain: Any) -> str:
    count = f"{rows:,}" if isinstance(rows, int) else ""
    ours, theirs, last = (
        in_column(figure, 4, sign) if isinstance(figure, float) else figure or ""
        for figure, sign in ((challenger, ""), (other, ""), (gain, "+"))
    )
    return f"{label[:26]:26}{count:>8} {ours:>11} {theirs:>15} {last:>9}".rstrip()
