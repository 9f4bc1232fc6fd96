"""Print the verdict of the gate, and write it to reports/gate.json."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rung_ops.gate.verdict import Verdict
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import atomic
from rung_ops.system.printable import in_column, printable
from rung_ops.training.baseline import in_words


def verdict_file() -> Path:
    """Return the path of the gate's verdict."""
    return current().reports / "gate.json"


def publish(verdict: Verdict) -> int:
    """Print a verdict and write it to reports/gate.json; return the exit code.

    If no version was judged, the file keeps the verdict on the last one that was.
    """
    if verdict.challenger:
        write(verdict, verdict_file())
    for line in table(verdict):
        print(line)
    for note in verdict.notes:
        print(f"note: {printable(note)}")
    if verdict.promote:
        action = f"replace {name(verdict.champion)}" if verdict.champion else "be the first"
        print(f"Passed: {name(verdict.challenger)} may {action}.")
        return 0
    sys.stdout.flush()
    if not verdict.challenger:
        print("Refused: no version was judged.", file=sys.stderr)
    elif verdict.reasons:
        print(f"Refused: {name(verdict.challenger)} does not pass.", file=sys.stderr)
    else:
        print(
            f"Refused: the figures of {name(verdict.challenger)} pass, but an approval is missing.",
            file=sys.stderr,
        )
    for reason in [*verdict.reasons, *verdict.awaits]:
        print(f"- {printable(reason)}", file=sys.stderr)
    if verdict.challenger:
        print(f"All figures: {shown(verdict_file())}; rules: ops/gate.toml", file=sys.stderr)
    elif kept := _kept():
        print(f"{shown(verdict_file())} still has the verdict on {kept}.", file=sys.stderr)
    return 1


def _kept() -> str:
    """Name the version of the verdict that is in the file; empty if there is none."""
    try:
        challenger = json.loads(verdict_file().read_bytes())["challenger"]
        return printable(name(challenger)) if challenger else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def write(verdict: Verdict, path: Path) -> None:
    """Write a verdict as JSON, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = asdict(verdict) | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    atomic.write(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def name(facts: dict[str, str]) -> str:
    """Return the id of the release, or else the number of the version."""
    return facts.get("release") or f"version {facts.get('version', '?')}"


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
        yield _line("all", figures["rows"], challenger, champion["figure"], champion["gain"])
        yield _line("", "", "", f"at least ({1 - figures['alpha']:.1%})", champion["gain_low"])
        yield _line("", "", "", "needed", -champion["margin"])
    simplest = figures["baseline"]
    label = in_words(simplest["name"])
    yield _line(label, figures["rows"], challenger, simplest["figure"], simplest["gain"])
    if held := figures.get("interval"):
        label = f"in the {held['promised']:.0%} interval"
        yield _line(label, figures["rows"], held["challenger"], held.get("champion"), None)
    few = 0
    for each in figures["slices"]:
        if each["judged"]:
            label = printable(f"{each['column']} {each['value']}")
            gain = None
            if each["challenger"] is not None and each["champion"] is not None:
                gain = each["challenger"] - each["champion"]
                gain = gain if figures["higher_is_better"] else -gain
            yield _line(label, each["rows"], each["challenger"], each["champion"], gain)
        few += not each["judged"]
    if few:
        yield f"{few} slice{'s' if few > 1 else ''} with too few rows to judge"
    yield ""


def _line(label: str, rows: Any, challenger: Any, other: Any, gain: Any) -> str:
    count = f"{rows:,}" if isinstance(rows, int) else ""
    cells = [_cell(each) for each in (challenger, other)]
    last = _cell(gain, "+")
    return f"{label[:26]:26}{count:>8} {cells[0]:>11} {cells[1]:>15} {last:>9}".rstrip()


def _cell(figure: Any, sign: str = "") -> str:
    return in_column(figure, 4, sign) if isinstance(figure, float) else figure or ""
