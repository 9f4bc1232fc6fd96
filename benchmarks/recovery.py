"""How rung 4 recovers from planted changes: `uv run --group machinery python benchmarks/recovery.py`.

For each kind of target, stream and traffic, years are simulated (recovery/simulation.py) with the settings
of a new project. Prints the tables of docs/benchmarks.md; `--write` puts them there.
"""

import argparse
import json
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(name, "1")  # a process for each year, and a thread for each process

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from page import publish
from recovery.simulation import Year, settings, simulate
from recovery.streams import CHANGE, CONCEPTS, KINDS

RATES = (27, 300, 5_000)
SEEDS = {27: 12, 300: 4, 5_000: 2}  # years of each kind and stream, by rows in a day
LATER = (2, 3, 6)  # months after the change at which what was won back is read


def year(case: tuple[str, str, int, int]) -> tuple[tuple[str, str, int], Year]:
    """Simulate one year."""
    warnings.filterwarnings("ignore")
    kind, stream, rate, seed = case
    return case[:3], simulate(KINDS[kind], stream, rate, seed, settings())


def summary(years: list[Year]) -> dict[str, Any]:
    """Average over years: what was won back, and when."""
    figures = np.array([each.figures for each in years])  # years, months, (frozen, served, oracle)
    frozen, served, oracle = figures.mean(axis=0).T
    lost = oracle - frozen
    won = {
        str(later): float((served - frozen)[CHANGE + later] / lost[CHANGE + later])
        for later in LATER
        if lost[CHANGE + later] > 0.002 * abs(oracle[CHANGE + later])
    }
    gain = (figures[:, :, 1] - figures[:, :, 0]).mean(axis=1)
    error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
    after = [each.noticed - CHANGE + 1 for each in years if each.noticed is not None]
    took = [each.took_over - CHANGE for each in years if each.took_over is not None]
    return {
        "years": len(years),
        "frozen": float(abs(frozen[CHANGE + 3])),
        "served": float(abs(served[CHANGE + 3])),
        "oracle": float(abs(oracle[CHANGE + 3])),
        "won_back": won,
        "gain": float(gain.mean()),
        "gain_error": error,
        "noticed": len(after) / len(years),
        "noticed_after": median(after) if after else None,
        "took_over": len(took) / len(years),
        "took_over_after": median(took) if took else None,
        "trainings": fmean(each.trainings for each in years),
        "promotions": fmean(each.promotions for each in years),
        "worse": sum(each.worse for each in years),
        "misjudged": sum(each.misjudged for each in years),
        "alarms": fmean(each.alarms for each in years),
    }


def cases(options: argparse.Namespace) -> Iterator[tuple[str, str, int, int]]:
    """List the years to simulate."""
    for rate in options.rates:
        for kind in options.kinds:
            for stream in options.streams:
                for seed in range(options.seeds or SEEDS[rate]):
                    yield kind, stream, rate, seed


RECOVERED = (
    "unit",
    "abrupt",
    "slow",
    "new category",
    "late labels",
)  # of which something can be won back


def _cell(result: dict[str, Any] | None) -> str:
    """Say what was won back three months after a change; without one, the mean gain of the year."""
    if result is None:
        return "not run"
    if result["stream"] in RECOVERED:
        won = result["won_back"].get("3")
        return "nothing lost" if won is None else f"{won:.0%}"
    return f"{result['gain'] / result['frozen']:+.1%}"


def _months(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):g}" if known else "-"


def table(results: list[dict[str, Any]], rate: int) -> Iterator[str]:
    """Make the table of one traffic, a line for each stream."""
    found = {(each["kind"], each["stream"]): each for each in results if each["rate"] == rate}
    yield f"{rate:,} rows a day:"
    yield ""
    yield (
        "|Change|Noticed|Takes over|"
        + "|".join(KINDS)
        + "|Trainings|Worse when judged|Worse versions|"
    )
    yield "|-" * 3 + "|-:" * (len(KINDS) + 3) + "|"
    for stream in CONCEPTS:
        now = [found.get((kind, stream)) for kind in KINDS]
        ran = [each for each in now if each]
        if not ran:
            continue
        promotions = sum(each["promotions"] * each["years"] for each in ran)
        yield (
            f"|{stream}|{_months([each['noticed_after'] for each in ran])}"
            f"|{_months([each['took_over_after'] for each in ran])}|{'|'.join(map(_cell, now))}"
            f"|{fmean(each['trainings'] for each in ran):.1f}"
            f"|{sum(each['misjudged'] for each in ran)}|{sum(each['worse'] for each in ran)} of {promotions:.0f}|"
        )
    yield ""


def section(results: list[dict[str, Any]]) -> str:
    """Make the section of docs/benchmarks.md."""
    rates = sorted({each["rate"] for each in results})
    years = {
        rate: sorted({each["years"] for each in results if each["rate"] == rate}) for rate in rates
    }
    counts = "; ".join(
        f"{', '.join(map(str, years[rate]))} at {rate:,} rows a day" for rate in rates
    )
    lines = [
        "<!-- recovery -->",
        "## Recovery",
        "",
        (
            "Simulated years with a known truth: after twelve months of past, a release serves for twelve "
            f"more, and the world changes at the start of the fourth. Years of each case: {counts}."
        ),
        "",
        *(line for rate in rates for line in table(results, rate)),
        (
            "Columns of targets: the share of the lost quality that is won back in the month that begins three "
            "months after the change, against an oracle that trains on the last three months; for no change, "
            "season and shock the mean gain over the frozen release, as a share of its figure. *Noticed*, "
            "*takes over*: median months until the monitor saw it, and until a version serves that learned from "
            "rows after it. *Worse versions*: of those promoted, how many are truly worse than what they "
            "replaced by more than the gate's margin when they took over; *worse when judged*: at the newest "
            "row that they learned from."
        ),
        "",
        "Made by `uv run --group machinery python benchmarks/recovery.py --write docs/benchmarks.md`.",
        "<!-- /recovery -->",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate all years and print the results as JSON lines, each as soon as its years are done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=RATES)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--streams", nargs="+", default=list(CONCEPTS), choices=CONCEPTS)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--decisions", action="store_true", help="print each month's decision")
    parser.add_argument("--out", type=Path, help="add the results to this file, a line each")
    parser.add_argument("--read", type=Path, nargs="+", help="simulate nothing: take these results")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into this page")
    options = parser.parse_args()
    if options.read:
        lines = [line for path in options.read for line in path.read_text().splitlines()]
        publish(section([json.loads(line) for line in lines]), "recovery", options.write)
        return
    results = []
    done: dict[tuple[str, str, int], list[Year]] = {}
    with multiprocessing.Pool(options.processes) as pool:
        for case, found in pool.imap(year, list(cases(options)), chunksize=1):
            done.setdefault(case, []).append(found)
            if options.decisions:
                print(*found.decisions, *(str(f) for f in found.figures), sep="\n")
            kind, stream, rate = case
            if len(done[case]) == (options.seeds or SEEDS[rate]):
                result = {"kind": kind, "stream": stream, "rate": rate} | summary(done[case])
                results.append(result)
                line = json.dumps(result)
                print(line, flush=True)
                if options.out:
                    with options.out.open("a") as out:
                        out.write(line + "\n")
    if options.write:
        publish(section(results), "recovery", options.write)


if __name__ == "__main__":
    main()
