"""Months of edits and climbs, drawn by Hypothesis: no line is lost and no project is broken."""

import math
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from rung.core.template_source import Source
from tests.climbing import engines
from tests.climbing.edits import WEIGHTS
from tests.climbing.histories import Engine, Fresh, History, Verdict

KINDS = [kind for kind, weight in WEIGHTS.items() for _ in range(weight)]
PARTS = 4  # which can run beside each other
CLIMBS = int(os.environ.get("RUNG_CLIMBS", "2000")) // PARTS  # in each part
BATCH = 10  # histories with one seed, so that a failure can be found again soon
# Of the climbs up; a rung's file where the user has one of another kind is a conflict by right.
CONFLICTS_UP = 0.05


@dataclass
class Tally:
    """What became of the climbs so far, failures aside: those stop the test."""

    climbs: int = 0
    up: int = 0
    conflicts_up: int = 0
    files: Counter[str] = field(default_factory=Counter)

    def count(self, verdict: Verdict) -> None:
        up = verdict.up and not verdict.aside
        self.climbs += 1
        self.up += up
        self.conflicts_up += up and bool(verdict.conflicts)
        self.files.update(verdict.conflicts)


def machine(folder: Path, fresh: Fresh, engine: Engine, tally: Tally) -> type:
    """Return the state machine: a project, edits to it, and climbs."""

    class Months(RuleBasedStateMachine):
        number = 0

        def __init__(self) -> None:
            super().__init__()
            self.history: Any = None
            self.wrong: list[str] = []

        @initialize(
            use_case=st.sampled_from(["velocity", "governance"]), level=st.sampled_from([0, 1, 2])
        )
        def start(self, use_case: str, level: int) -> None:
            Months.number += 1
            answers = {"use_case": use_case, "team_size": "team", "ci": "github", "level": level}
            self.history = History(folder / f"history-{Months.number}", fresh, answers)

        @rule(
            drawn=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2**32 - 1)), max_size=8)
        )
        def edit(self, drawn: list[Any]) -> None:
            for kind, seed in drawn:
                self.history.edit(kind, seed)

        @rule(rungs=st.sampled_from([1, 1, 1, 1, 2, 2, -1, -1, -2, 0]))
        def climb(self, rungs: int) -> None:
            now = self.history.answers
            level = max(0, min(4, now["level"] + rungs))
            vendor = "gitlab" if now["ci"] == "github" else "github"
            self.judge({"level": level} if level != now["level"] else {"ci": vendor})

        def judge(self, changed: dict[str, Any]) -> None:
            verdict = self.history.climb(engine, changed)
            tally.count(verdict)
            self.wrong += [f"lost: {path}" for path in verdict.lost]
            self.wrong += [f"broken: {path}" for path in verdict.broken]
            self.wrong += [f"not Rung's: {path}" for path in verdict.stale]

        @invariant()
        def every_line_is_there_or_reported_and_nothing_is_broken(self) -> None:
            assert [] == self.wrong, "\n".join(self.history.log)

        def teardown(self) -> None:
            if self.history is not None:
                self.history.remove()

    return Months


@pytest.fixture(scope="module")
def fresh(template: Source, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    return engines.fresh_projects(template, tmp_path_factory.mktemp("fresh"))


def live(seed: int, histories: int, steps: int, months: type, phases: tuple[Phase, ...]) -> None:
    """Live some histories, drawn from a seed that is printed."""
    print(f"seed {seed}: {histories} histories")
    chosen = settings(
        max_examples=histories,
        stateful_step_count=steps,
        database=None,
        print_blob=True,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(hypothesis.seed(seed)(months), settings=chosen)


def chance(result: int, tries: int, rate: float) -> float:
    """Return how likely so many or more are, where each try is one at this rate."""
    fewer = (math.comb(tries, k) * rate**k * (1 - rate) ** (tries - k) for k in range(result))
    return 1 - sum(fewer)


@pytest.mark.slow
@pytest.mark.draws
@pytest.mark.parametrize(
    "part", [pytest.param(0, marks=pytest.mark.every_commit), *range(1, PARTS)]
)
def test_two_thousand_climbs_lose_nothing_and_seldom_conflict(
    tmp_path: Path, template: Source, fresh: Fresh, part: int
) -> None:
    tally = Tally()
    months = machine(tmp_path, fresh, engines.rungs(template), tally)

    seed = 1000 * part + 1
    while tally.climbs < CLIMBS:
        live(seed, BATCH, 20, months, (Phase.generate,))
        print(tally)
        seed += 1

    assert chance(tally.conflicts_up, tally.up, CONFLICTS_UP) > 0.001, tally
