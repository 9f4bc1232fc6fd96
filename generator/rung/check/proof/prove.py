"""Prove the findings of a review: run in a copy what can be run, and note how each run went."""

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
COMMANDS = 500  # that a run leads to


@dataclass(frozen=True)
class Proof:
    """A command, and the capabilities that it proves where it leads to certain commands.

    Attributes:
        about: What it runs, for the user.
        when: a predicate that holds where there is something to run.
        command: the program and its arguments.
        project: whether the environment that uv makes for the project is wanted.
        env: variables, besides those of the user.
        proves: by capability, what one of the commands that it leads to has to match.
    """

    about: str
    when: Any
    command: tuple[str, ...]
    project: bool
    env: Mapping[str, str]
    proves: Mapping[str, re.Pattern[str]]


def load_proofs(folder: Path) -> tuple[Proof, ...]:
    """Read the file of the folder `levels`; raise a RungError when it is not what it must be."""
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
    """Run what proves something, and return the review with what came of it.

    Its rung stays what the files say: a run can fail for want of a network.

    Args:
        repository: its folder; nothing is written there.
        review: what its files say.
        limits: of reading it again, for what there is to run.
        seconds: of wall time for each run, at most.
        say: tells the user what is about to run.
    """
    folder = template.folder() / "levels"
    known = load_proofs(folder)
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
        name: _with(finding, [tried for tried in trials if _bears(*tried, finding, leads)])
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
        done = run(command, folder, seconds, proof.env)
    except OSError as error:
        return Trial(shown, "not run", 0.0, (), f"it could not be started: {error}")
    reason = f"it took more than {seconds:g} s" if done.result == "timed out" else ""
    return Trial(shown, done.result, done.seconds, done.tail, reason)


def _bears(
    proof: Proof, trial: Trial, finding: Finding, leads: dict[tuple[str, ...], list[str]]
) -> bool:
    """Return whether a run says something of a finding: it ended, and leads to what the finding names."""
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
