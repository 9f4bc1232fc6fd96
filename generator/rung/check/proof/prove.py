"""The proof of a review's findings, by running the repository's commands (decision 20)."""

import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from rung.check.proof import copied
from rung.check.proof.run import Tools, run
from rung.check.review.content import Content
from rung.check.review.evidence import Evidence
from rung.check.review.files import Files, Limits, load_reading
from rung.check.review.findings import Finding, Trial
from rung.check.review.review import Review
from rung.check.review.runners import Command, Runners
from rung.errors import RungError
from rung.levels import template
from rung.levels.ladder import TIERS
from rung.system import plain_yaml

FILE = "proofs.yml"  # in the folder `levels`: what may be run, and what it proves
MAX_COMMANDS = 500  # that a run leads to


@dataclass(frozen=True)
class Proof:
    """A command, and the capabilities that it proves.

    Attributes:
        about: What the command runs, for the user.
        when: Predicate that holds if the repository has something to run.
        command: The program and its arguments.
        project: Whether the command runs in the environment that uv makes for the project.
        env: Variables, besides those of the user.
        proves: Pattern by capability; it is proven if the command leads to one that matches.
    """

    about: str
    when: Any
    command: tuple[str, ...]
    project: bool
    env: Mapping[str, str]
    proves: Mapping[str, re.Pattern[str]]


def load_proofs(folder: Path) -> tuple[Proof, ...]:
    """Read `proofs.yml` in the folder `levels`.

    Raises:
        RungError: The file cannot be read, or a key is missing.
    """
    path = folder / FILE
    try:
        data: Mapping[str, Any] = plain_yaml.load(path.read_text(encoding="utf-8"))
        return tuple(
            Proof(
                about=entry["about"],
                when=entry["when"],
                command=tuple(entry["run"].split()),
                project=entry["project"],
                env=entry.get("env", {}),
                proves={name: re.compile(text) for name, text in entry["proves"].items()},
            )
            for entry in data.values()
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, re.error) as error:
        raise RungError(f"{path} cannot be read: {error!r}. Reinstall Rung.") from error


def prove(
    repository: Path, review: Review, limits: Limits, seconds: float, say: Callable[[str], None]
) -> Review:
    """Run the commands that prove something, and return the review with their results.

    The rung does not change: a run can fail for lack of a network, for example.

    Args:
        repository: The repository's folder; nothing is written there.
        review: The review of its files.
        limits: Limits on reading the copy, to find out what can be run.
        seconds: Limit of wall time for each run.
        say: Function that shows the user which command is about to run.
    """
    folder = template.folder() / "levels"
    proofs = load_proofs(folder)
    with tempfile.TemporaryDirectory(prefix="rung-proof-", ignore_cleanup_errors=True) as name:
        top = Path(name).resolve() / "copy"
        folder_in_copy = copied.copy(repository.resolve(), top)
        content = Content(Files(folder_in_copy, load_reading(folder), limits))
        evidence = Evidence(content, [proof.when for proof in proofs])
        possible = [proof for proof in proofs if evidence.holds(proof.when)]
        started = {proof.command: _started_by(content, proof.command) for proof in possible}
        tools = Tools(folder_in_copy, top, seconds)
        trials = [(proof, _try(proof, tools, folder_in_copy, seconds, say)) for proof in possible]
    results = {
        name: _with_trials(
            finding, [pair for pair in trials if _exercises(*pair, finding, started)]
        )
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
        outcome = run(command, folder, seconds, proof.env)
    except OSError as error:
        return Trial(shown, "not run", 0.0, (), f"it could not be started: {error}")
    reason = f"it took more than {seconds:g} s" if outcome.result == "timed out" else ""
    return Trial(shown, outcome.result, outcome.seconds, outcome.tail, reason)


def _exercises(
    proof: Proof, trial: Trial, finding: Finding, started: dict[tuple[str, ...], list[str]]
) -> bool:
    """Return whether a run ended and started a command that belongs to a finding."""
    pattern: re.Pattern[str] | None = proof.proves.get(finding.capability.id)
    return (
        pattern is not None
        and trial.result in ("passed", "failed")
        and TIERS.get(finding.tier or "", 0.0) >= TIERS["used"]
        and any(pattern.search(command) for command in started[proof.command])
    )


def _with_trials(finding: Finding, trials: Iterable[tuple[Proof, Trial]]) -> Finding:
    return replace(finding, trials=tuple(trial for _, trial in trials))


def _started_by(content: Content, command: tuple[str, ...]) -> list[str]:
    """Return a command and the commands that it starts through the repository's task files."""
    followed = Runners(content).follow([Command(" ".join(command), "", 0)])
    return [command.text for command in islice(followed, MAX_COMMANDS)]
