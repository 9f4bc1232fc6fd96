"""Prove the findings of a review: run in a copy what can be run, and note how each run went."""

import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from rung.check.proof import copied, proofs, run
from rung.check.proof.proofs import Proof
from rung.check.proof.tools import Tools
from rung.check.review.content import Content
from rung.check.review.evidence import Evidence
from rung.check.review.files import Files, Limits, load_reading
from rung.check.review.findings import Finding, Trial
from rung.check.review.review import Review
from rung.check.review.runners import Command, Runners
from rung.levels import template
from rung.levels.ladder import TIERS

COMMANDS = 500  # that a run leads to


def prove(
    repository: Path, review: Review, limits: Limits, seconds: float, say: Callable[[str], None]
) -> Review:
    """Run what proves something, and return the review with what came of it.

    Its rung stays what the files say: a run can fail for want of a network.

    Args:
        repository: its folder; nothing is written there.
        review: what its files say.
        limits: of reading it again, for what there is to run.
        seconds: of wall time for each run, at most.
        say: tells the person what is about to run.
    """
    folder = template.folder() / "levels"
    known = proofs.load(folder)
    with tempfile.TemporaryDirectory(prefix="rung-proof-", ignore_cleanup_errors=True) as name:
        top = Path(name).resolve() / "copy"
        folder_in_copy = copied.copy(repository.resolve(), top)
        content = Content(Files(folder_in_copy, load_reading(folder), limits))
        evidence = Evidence(content, [proof.when for proof in known])
        wanted = [proof for proof in known if evidence.holds(proof.when)]
        leads = {proof.command: _leads_to(content, proof.command) for proof in wanted}
        tools = Tools(folder_in_copy, top, seconds)
        trials = [(proof, _try(proof, tools, folder_in_copy, seconds, say)) for proof in wanted]
    results = {
        name: _with(finding, [one for one in trials if _bears(*one, finding, leads)])
        for name, finding in review.findings.items()
    }
    return replace(review, findings=results, trials=tuple(trial for _, trial in trials), tried=True)


def _try(
    proof: Proof, tools: Tools, folder: Path, seconds: float, say: Callable[[str], None]
) -> Trial:
    shown = " ".join(proof.command)
    say(f"Running {proof.about}: `{shown}`, in a copy")
    command, reason = tools.command(proof.command, proof.project)
    if not command:
        return Trial(shown, "not run", 0.0, (), reason)
    try:
        done = run.run(command, folder, seconds, proof.env)
    except OSError as error:
        return Trial(shown, "not run", 0.0, (), f"it could not be started: {error}")
    reason = f"it took more than {seconds:g} s" if done.result == "timed out" else ""
    return Trial(shown, done.result, done.seconds, done.tail, reason)


def _bears(
    proof: Proof, trial: Trial, finding: Finding, leads: dict[tuple[str, ...], list[str]]
) -> bool:
    """Say whether a run says something of a finding: it ended, and leads to what the finding names."""
    sought: re.Pattern[str] | None = proof.proves.get(finding.capability.id)
    return (
        sought is not None
        and trial.result in ("passed", "failed")
        and TIERS.get(finding.tier or "", 0.0) >= TIERS["used"]
        and any(sought.search(command) for command in leads[proof.command])
    )


def _with(finding: Finding, trials: Iterable[tuple[Proof, Trial]]) -> Finding:
    return replace(finding, trials=tuple(trial for _, trial in trials))


def _leads_to(content: Content, command: tuple[str, ...]) -> list[str]:
    """Return a command and those that it starts through the task files of the repository."""
    followed = Runners(content).follow([Command(" ".join(command), "", 0)])
    return [command.text for command in islice(followed, COMMANDS)]
