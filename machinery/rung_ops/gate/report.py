"""The gate's verdict for people, and for the machinery that comes after it."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rung_ops.gate.verdict import Verdict
from rung_ops.project.paths import REPORTS, shown
from rung_ops.system import atomic

VERDICT = REPORTS / "gate.json"


def tell(verdict: Verdict) -> int:
    """Print a verdict and write it to reports/gate.json; return the exit code."""
    write(verdict, VERDICT)
    for line in table(verdict):
        print(line)
    for note in verdict.notes:
        print(f"note: {note}")
    if verdict.promote:
        place = f"replace {name(verdict.champion)}" if verdict.champion else "be the first"
        print(f"Passed: {name(verdict.challenger)} may {place}.")
        return 0
    sys.stdout.flush()
    if verdict.reasons:
        print(f"Refused: {name(verdict.challenger)} does not pass.", file=sys.stderr)
    else:
        print(
            f"Refused: {name(verdict.challenger)} passes by its figures, and may not answer yet.",
            file=sys.stderr,
        )
    for reason in [*verdict.reasons, *verdict.awaits]:
        print(f"- {reason}", file=sys.stderr)
    print(f"Every figure: {shown(VERDICT)}; the rules: ops/gate.toml", file=sys.stderr)
    return 1


def write(verdict: Verdict, path: Path) -> None:
    """Write a verdict as JSON: whoever reads finds the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = asdict(verdict) | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    atomic.write(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def name(facts: dict[str, str]) -> str:
    """Name a release or a version."""
    return facts.get("release") or f"version {facts.get('version', '?')}"


def table(verdict: Verdict) -> Iterator[str]:
    """Lay out the figures in lines of text."""
    figures = verdict.figures
    if "slices" not in figures:
        return
    champion = figures.get("champion")
    heads = ("challenger", "champion" if champion else "", "gain")
    yield f"{figures['metric']} on {figures['rows']:,} rows that neither learned from"
    yield ""
    yield _line("", "", *heads)
    ours = figures["challenger"]
    if champion:
        yield _line("all", figures["rows"], ours, champion["figure"], champion["gain"])
        yield _line("", "", "", f"at least ({1 - figures['alpha']:.1%})", champion["gain_low"])
        yield _line("", "", "", "needed", -champion["margin"])
    constant = figures["constant"]
    yield _line("a constant", figures["rows"], ours, constant["figure"], constant["gain"])
    few = 0
    for each in figures["slices"]:
        if each["judged"]:
            label = f"{each['column']} {each['value']}"
            gain = None
            if each["challenger"] is not None and each["champion"] is not None:
                gain = each["challenger"] - each["champion"]
                gain = gain if figures["higher_is_better"] else -gain
            yield _line(label, each["rows"], each["challenger"], each["champion"], gain)
        few += not each["judged"]
    if few:
        yield f"{few} slice{'s' if few > 1 else ''} with too few rows to judge"
    yield ""


def _line(label: str, rows: Any, ours: Any, theirs: Any, gain: Any) -> str:
    count = f"{rows:,}" if isinstance(rows, int) else ""
    cells = [f"{each:.4f}" if isinstance(each, float) else each or "" for each in (ours, theirs)]
    last = f"{gain:+.4f}" if isinstance(gain, float) else gain or ""
    return f"{label[:26]:26}{count:>8}  {cells[0]:>10}{cells[1]:>16}{last:>10}".rstrip()
