"""How often a version of known worth takes over and stays: `uv run --group machinery python benchmarks/takeover.py`.

Each try goes the whole way of rung 4: the gate with its slices, the fit that is made again on all rows, shadow
and canary, and the check of three months after the promotion. The rules are those of a new project's ops/, the
versions those of gate_error_rate.py. `--write` puts the table into docs/benchmarks.md.
"""

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gate_error_rate import CASES, Drawn, Figure
from page import publish
from recovery.simulation import settings

from rung_ops.autopilot import facts
from rung_ops.autopilot.decide import Rollback
from rung_ops.gate import judge_predictions
from rung_ops.gate import rules as gate_rules
from rung_ops.release import rollout
from rung_ops.statistics import jackknife

GAINS = {"equal": 0.0, "1 % worse": -0.01, "5 % worse": -0.05}
SPREADS = (0.0, 0.01)  # standard deviation of what two fits by the same settings differ by
ROWS, SLICES = 2_000, 13  # that judge
LOOKS = 4  # at each stage of a trial; its tests hold however often
CHECKS = (30, 60, 90)  # days after the promotion


def passes_gate(drawn: Drawn, metric: str, rules: gate_rules.Rules, seed: int) -> bool:
    """Ask the gate, slices included."""
    _, figure, higher = CASES[metric]
    return judge_predictions(
        *drawn[:3],
        figure=figure,
        higher_is_better=higher,
        rules=rules,
        slices={"slice": np.arange(ROWS) % SLICES},
        seed=seed,
    ).promote


def passes_trial(
    metric: str, gain: float, rate: float, policy: rollout.Policy, draws: np.random.Generator
) -> bool:
    """Let a version go through shadow and canary, with several looks at each stage."""
    traffic = rollout.Traffic(rate, rate)
    stages = rollout.planned_stages(policy, traffic)
    policy = rollout.of_trial(policy, rollout.plan(policy, traffic))
    draw = CASES[metric][0]
    for stage in stages:
        others = round(stage.expected * (1 / stage.share - 1))
        drawn = draw(gain, stage.expected + others, draws)
        ours, theirs = (each.astype(float) for each in drawn[1:3])
        comparison, trial = rollout.Comparison(), rollout.Trial(policy.slow)
        keys = [str(number) for number in range(len(ours))]
        for look in range(LOOKS):
            at, until = (stage.expected * part // LOOKS for part in (look, look + 1))
            if stage.name == "shadow":
                comparison.observe(theirs[at:until], ours[at:until])
                verdict = rollout.shadow_verdict(comparison, policy, 0)
            else:
                trial.observe("canary", [], keys[at:until], ours[at:until])
                start, end = (stage.expected + others * part // LOOKS for part in (look, look + 1))
                trial.observe("serving", [], keys[start:end], theirs[start:end])
                verdict = rollout.canary_verdict(trial.serving, trial.canary, policy, 0)
            if verdict.action == "abort":
                return False
    return True


def stays(
    metric: str,
    gain: float,
    rate: float,
    policy: Rollback,
    margin: float,
    draws: np.random.Generator,
) -> bool:
    """Check a version on the outcomes of its first days against the one before it."""
    draw, figure, higher = CASES[metric]
    sign = 1 if higher else -1
    truth, ours, theirs, _ = draw(gain, round(rate * CHECKS[-1]), draws)
    for days in CHECKS:
        rows = round(rate * days)
        if rows < policy.least_rows:
            continue
        gained = partial(_gained, figure, sign, truth[:rows], ours[:rows], theirs[:rows])
        group = jackknife.dealt(rows, days, jackknife.GROUPS)
        estimate, half = facts.interval(gained, group, policy.level)
        loss = gate_rules.allowed_loss(margin, figure(truth[:rows], theirs[:rows]), higher)
        if estimate + half < -loss.amount:
            return False
    return True


def _gained(
    figure: Figure,
    sign: int,
    truth: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    chosen: np.ndarray,
) -> float:
    after, before = (figure(truth[chosen], each[chosen]) for each in (ours, theirs))
    return sign * (after - before)


def tried(metric: str, mean: float, spread: float, rate: float, seed: int) -> tuple[bool, ...]:
    """Send one version the whole way.

    Returns:
        Whether it passes the gate, the trial, and the check after a promotion, each whatever the
        others say.
    """
    draws = np.random.default_rng([seed, round(rate), round(-mean * 1000), round(spread * 1000)])
    judged, served = draws.normal(mean, spread, 2)
    rules = settings()
    gate = rules.gate
    return (
        passes_gate(CASES[metric][0](judged, ROWS, draws), metric, gate, seed),
        passes_trial(metric, served, rate, rules.rollout, draws),
        stays(metric, served, rate, rules.autopilot.rollback, gate.margin, draws),
    )


def table(options: argparse.Namespace) -> Iterator[str]:
    """Try every case; make the table, a line for each as soon as it is done."""
    yield (
        "|Metric|The version|Two fits differ by|Requests a day|Passes the gate|Aborted on trial"
        "|Taken back in 90 days|Serves after 90 days|"
    )
    yield "|-|-|-:|-:|-:|-:|-:|-:|"
    with multiprocessing.Pool(options.processes) as pool:
        for rate in options.rates:
            for metric in options.metrics:
                for name, mean in GAINS.items():
                    for spread in SPREADS:
                        one = partial(tried, metric, mean, spread, rate)
                        counts: Counter[str] = Counter()
                        for gate, trial, check in pool.imap_unordered(
                            one, range(options.tries), chunksize=20
                        ):
                            counts["gate"] += gate
                            counts["aborted"] += not trial
                            counts["taken back"] += not check
                            counts["serves"] += gate and trial and check
                        shares = (
                            f"{counts[what] / options.tries:.2%}"
                            for what in ("gate", "aborted", "taken back", "serves")
                        )
                        line = f"|{metric}|{name}|{spread:.0%}|{rate}|{'|'.join(shares)}|"
                        print(line, file=sys.stderr, flush=True)
                        yield line


def main() -> None:
    """Print the section, or put it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=2_000)
    parser.add_argument("--rates", type=int, nargs="+", default=[27, 300])
    parser.add_argument("--metrics", nargs="+", default=["auc", "mae"], choices=CASES)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    lines = [
        "<!-- takeover -->",
        "## From the gate to takeover",
        "",
        (
            f"How often a version of known worth passes the gate ({ROWS:,} rows, {SLICES} slices), shadow and "
            "canary at the given traffic, and the checks of three months after it took over, which see the "
            "version that was fitted again. *Aborted* and *taken back* count all versions, also those that the "
            f"gate refused. {options.tries:,} tries each."
        ),
        "",
        *table(options),
        "",
        (
            "Shadow and canary look for gross errors. What a refit makes worse is found by the checks after it "
            "took over."
        ),
        "",
        "Made by `uv run --group machinery python benchmarks/takeover.py --write docs/benchmarks.md`.",
        "<!-- /takeover -->",
    ]
    publish("\n".join(lines) + "\n", "takeover", options.write)


if __name__ == "__main__":
    main()
