"""The proof of a review's findings, by running the repository's commands (decision 20)."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from rung.check.proof import copied
from rung.check.proof.run import Tools, run
from rung.check.review.content import Content
from rung.check.review.evidence import Evidence
from rung.check.review.files import Files, Limits, load_reading
from rung.check.review.findings import Finding, Trial
from rung.check.review.review import Review
from rung.check.review.runners import Command, Runners
from rung.levels import ladder, template
from rung.levels.ladder import TIERS

MAX_COMMANDS = 500  # that a run leads to


class Proof(msgspec.Struct, frozen=True):
    """A command, and the capabilities that it proves."""

    about: str  # what the command runs, for the user
    when: dict[str, Any]  # predicate that holds if the repository has something to run
    run: str  # the program and its arguments
    project: bool  # whether the command runs in the environment that uv makes for the project
    # Pattern by capability; it is proven if the command leads to one that matches.
    proves: dict[str, str]
    env: dict[str, str] = {}  # variables, besides those of the user


def load_proofs(folder: Path) -> tuple[Proof, ...]:
    """Read `proofs.yml` in the folder `levels`: what may be run, and what it proves."""
    return tuple(ladder.decoded(folder / "proofs.yml", dict[str, Proof]).values())


def prove(
    repository: Path, review: Review, limits: Limits, seconds: float, say: Callable[[str], None]
) -> Review:
    """Run the commands that prove something, and return the review with their results.

    The rung does not change: a run can fail for lack of a network, for example.
    """
    folder = template.folder() / "levels"
    proofs = load_proofs(folder)
    with tempfile.TemporaryDirectory(prefix="rung-proof-", ignore_cleanup_errors=True) as name:
        top = Path(name).resolve() / "copy"
        folder_in_copy = copied.copy(repository.resolve(), top)
        content = Content(Files(folder_in_copy, load_reading(folder), limits))
        evidence = Evidence(content, [proof.when for proof in proofs])
        possible = [proof for proof in proofs if evidence.holds(proof.when)]
        started = {proof.run: _started_by(content, proof.run) for proof in possible}
        tools = Tools(folder_in_copy, top, seconds)
        trials = [(proof, _try(proof, tools, folder_in_copy, seconds, say)) for proof in possible]
    results = {
        name: replace(
            finding,
            trials=tuple(
                trial for proof, trial in trials if _exercises(proof, trial, finding, started)
            ),
        )
        for name, finding in review.findings.items()
    }
    return replace(review, findings=results, trials=tuple(trial for _, trial in trials), tried=True)


def _try(
    proof: Proof, tools: Tools, folder: Path, seconds: float, say: Callable[[str], None]
) -> Trial:
    say(f"Running {proof.about}: `{proof.run}`, in a copy")
    command, reason = tools.command(proof.run.split(), proof.project)
    if not command:
        return Trial(proof.run, "not run", 0.0, (), reason)
    try:
        outcome = run(command, folder, seconds, proof.env)
    except OSError as error:
        return Trial(proof.run, "not run", 0.0, (), f"it could not be started: {error}")
    reason = f"it took more than {seconds:g} s" if outcome.result == "timed out" else ""
    return Trial(proof.run, outcome.result, outcome.seconds, outcome.tail, reason)


def _exercises(proof: Proof, trial: Trial, finding: Finding, started: dict[str, list[str]]) -> bool:
    """Return whether a run ended and started a command that belongs to a finding."""
    pattern = proof.proves.get(finding.capability.id)
    return (
        pattern is not None
        and trial.result in ("passed", "failed")
        and TIERS.get(finding.tier or "", 0.0) >= TIERS["used"]
        and any(re.search(pattern, command) for command in started[proof.run])
    )


def _started_by(content: Content, command: str) -> list[str]:
    """Return a command and the commands that it starts through the repository's task files."""
    followed = Runners(content).follow([Command(command, "", 0)])
    return [command.text for command in islice(followed, MAX_COMMANDS)]
