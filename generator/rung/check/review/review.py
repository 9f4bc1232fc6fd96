"""The review of a repository, from its files to its rung."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from rung.check.review import config, rating
from rung.check.review.advice import Advice
from rung.check.review.config import Config
from rung.check.review.content import Content, load_examples
from rung.check.review.contradictions import contradictions
from rung.check.review.evidence import Evidence
from rung.check.review.files import (
    Files,
    LeftOut,
    Limits,
    Reading,
    is_documentation,
    load_reading,
)
from rung.check.review.findings import Finding, Trial, find
from rung.check.review.policy import Policy, load_house
from rung.check.review.predicates import Match
from rung.check.review.rating import Rating
from rung.levels import template
from rung.levels.ladder import Level, load, read
from rung.system import git

PROJECTS = 8  # folders with dependency files: from here on, the repository may be a monorepo
NO_ML = "No machine-learning package or import was found"
SHOWN = 3  # calls of other repositories, and files, that a note names
# The fields of an R package's DESCRIPTION that name packages.
R_FIELDS = re.compile(r"^(?:Imports|Depends|Suggests|LinkingTo):.*(?:\n[ \t].*)*", re.MULTILINE)
R_IMPORTS = r"\b(?:library|require)\([\"']?(?:{0})\b|\b(?:{0})::"
# YAML that looks like CI: it has steps and commands, and is no resource, Compose or specification.
STEPS = re.compile(
    rb"^(?:steps|stages|jobs|pipelines?|tasks|phases|workflows?)[ \t]*:", re.MULTILINE
)
RUNS = re.compile(
    rb"^[ \t]*(?:-[ \t]+)?(?:script|scripts|run|commands?|cmds?)[ \t]*:", re.MULTILINE
)
OTHER_YAML = re.compile(
    rb"^(?:kind|apiVersion|services|openapi|stages:\s+\w+:\s+cmd)\b", re.MULTILINE
)


@dataclass(frozen=True)
class Review:
    """The result of reviewing a repository."""

    name: str  # name of the repository's folder
    levels: Sequence[Level]
    game: str  # the game by which the repository was judged
    game_from: str  # where the game comes from, for the report
    # Matches that show that the repository is about machine learning.
    machine_learning: Sequence[Match]
    findings: Mapping[str, Finding]  # the finding of each capability, by name
    rating: Rating  # the rung, and what the next one needs
    file_count: int  # number of files that count
    left_out: LeftOut  # what was not read
    notes: Sequence[str]  # remarks for the reader of the report
    template_version: str = ""  # tag or commit of the Copier template; empty without one
    # Answers to Rung's template; None where Rung did not make the repository.
    answers: Mapping[str, str] | None = None
    has_remote: bool = False  # whether git names a remote repository
    tried: bool = False  # whether `--prove` was given
    trials: Sequence[Trial] = ()  # what `--prove` ran, or could not run

    @property
    def level(self) -> int:
        """The repository's rung."""
        return self.rating.level

    def required(self, level: int) -> list[Finding]:
        """Return the findings of the capabilities that the game requires on a rung."""
        return [finding for finding in self.findings.values() if finding.rung(self.game) == level]

    def not_applicable(self, level: int) -> list[str]:
        """Return the capabilities of a rung that concern nothing in the repository."""
        return [
            name
            for name, finding in self.findings.items()
            if not finding.applies and finding.capability.rung(self.game) == level
        ]


def review(
    root: Path,
    game: str | None = None,
    limits: Limits | None = None,
    today: date | None = None,
    capabilities_of: Path | None = None,
) -> Review:
    """Review the repository in a folder. None of its code runs, and git is not needed.

    Args:
        root: The folder.
        game: Governance or velocity; by default what the repository states, else velocity.
        limits: Bounds on time and sizes.
        today: The day on which waivers must still be valid; by default today.
        capabilities_of: A folder of further capabilities, and of a policy, as a house has them.
    """
    ladder, reading = _ladder(template.folder() / "levels")
    policy = Policy()
    if capabilities_of is not None:
        ladder, policy = load_house(ladder, capabilities_of)
    files = Files(root, reading, limits or Limits())
    content = Content(files, load_examples(template.folder() / "templates/examples"))
    settings = config.read(content, ladder, today or date.today(), policy)
    capabilities = {
        name: capability for rung in ladder for name, capability in rung.capabilities.items()
    }
    names = "|".join(map(re.escape, reading.machine_learning.r))
    ml_imports = {
        "any": [
            {"imports": list(reading.machine_learning.modules)},
            {"text": R_IMPORTS.format(names), "in": ["**/*.R", "**/*.Rmd", "**/*.qmd"]},
        ]
    }
    predicates = [
        predicate
        for capability in capabilities.values()
        for predicate in capability.evidence.values()
    ]
    predicates += [
        capability.applies for capability in capabilities.values() if capability.applies is not None
    ]
    evidence = Evidence(content, [*predicates, ml_imports])
    results = {name: find(capability, evidence) for name, capability in capabilities.items()}
    if settings.answers is not None:
        results = {name: finding.for_project(settings.answers) for name, finding in results.items()}
    for name, statement in settings.statements.items():
        results[name] = results[name].with_statement(statement)
    game, game_from = (game, "asked for") if game else settings.game
    ml = _machine_learning(evidence, ml_imports)
    return Review(
        name=root.resolve().name,
        levels=ladder,
        game=game,
        game_from=game_from,
        machine_learning=ml,
        findings=results,
        rating=rating.rate(ladder, results, game, bool(ml), Advice(evidence, results).change),
        file_count=files.file_count,
        left_out=files.left_out,
        notes=[
            *settings.notes,
            *_contradictions(content, settings, ladder),
            *_notes(evidence, bool(ml)),
        ],
        template_version=settings.template_version,
        answers=settings.answers,
        has_remote=_has_remote(root),
    )


@lru_cache(maxsize=1)  # the same for every repository of a fleet
def _ladder(folder: Path) -> tuple[tuple[Level, ...], Reading]:
    return load(folder), load_reading(folder)


def _has_remote(root: Path) -> bool:
    """Return whether the settings of the git repository around a folder name a remote."""
    above = git.repository_above(root)
    if above is None:
        return False
    settings = above / ".git"
    try:
        if settings.is_file():  # of a worktree or a submodule: it names the folder
            settings = above / settings.read_text("utf-8").partition("gitdir: ")[2].strip()
            shared = settings / "commondir"  # of a worktree: that of the whole repository
            settings /= shared.read_text("utf-8").strip() if shared.is_file() else "."
        return '[remote "' in (settings / "config").read_text("utf-8", "replace")
    except (OSError, ValueError):
        return False


def _machine_learning(evidence: Evidence, ml_imports: Mapping[str, Any]) -> list[Match]:
    known = evidence.content.files.reading.machine_learning
    locations = (evidence.packages.get(canonicalize_name(name)) for name in known.packages)
    matches = [
        Match(*location) for location in locations if location and not is_documentation(location[0])
    ]
    if matches:
        return matches[:3]
    imported = {match.path: match for match in evidence.all_matches(ml_imports)}
    first = next((path for path in imported if not is_documentation(path)), None)
    if first is None:
        return list(islice(_described(evidence.content, known.r), 1))
    source = evidence.content.python(first) if first.endswith((".py", ".ipynb")) else None
    if source is None:
        return [imported[first]]
    modules = tuple(f"{name}." for name in known.modules)
    lines = (line for name, line in source.imports.items() if f"{name}.".startswith(modules))
    at = next(lines, imported[first].line)
    return [Match(first, at, source.raw.split("\n")[at - 1].strip())]


def _described(content: Content, packages: Sequence[str]) -> Iterator[Match]:
    """Yield the lines of an R package's DESCRIPTION that name such packages."""
    names = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, packages))})(?![\w.])")
    for path in content.files.find("DESCRIPTION"):
        text = content.text(path) or ""
        for fields in R_FIELDS.finditer(text):
            for name in names.finditer(fields[0]):
                number = text.count("\n", 0, fields.start() + name.start())
                yield Match(path, number + 1, text.split("\n")[number].strip())


def _contradictions(content: Content, settings: Config, ladder: Sequence[Level]) -> Iterator[str]:
    """Yield how the answers to Rung's template contradict the files; not of a partial result."""
    files = content.files
    if settings.answers is not None and not files.left_out.out_of_time:
        folders = files.reading.by_answers
        paths = set(files.lower.values())
        source = settings.answers_from
        early = _early_documents(template.folder() / "levels")
        yield from contradictions(settings.answers, source, ladder, folders, paths, early)


@lru_cache(maxsize=1)
def _early_documents(levels: Path) -> tuple[str, ...]:
    brought = read(levels / "infrastructure.yml")["infrastructure"]["default"]["brings"]
    return tuple(brought["early-documents"]["owns"])


def _notes(evidence: Evidence, machine_learning: bool) -> Iterator[str]:
    """Yield remarks for the reader of the report."""
    if not machine_learning:
        yield (
            f"{NO_ML}: this is not a machine-learning repository, as far as its files show, and "
            "cannot be above rung 0."
        )
    yield from _calls_elsewhere(evidence)
    yield from _unread_ci(evidence)
    yield from _several_projects(evidence)
    yield from _untouched_examples(evidence)
    if evidence.content.files.left_out.counts["unrendered templates"]:
        yield "It holds an unrendered template; render a project and check that one."


def _calls_elsewhere(evidence: Evidence) -> Iterator[str]:
    calls = [
        f"`{name}` ({workflow.path}:{line})"
        for workflow in evidence.ci.workflows
        for line, name in workflow.calls_elsewhere
    ]
    if calls:
        more = f" and {len(calls) - SHOWN} more" if len(calls) > SHOWN else ""
        yield (
            f"CI calls other repositories, which are not read: {', '.join(calls[:SHOWN])}{more}. "
            "The level may be higher; attest in rung.toml what they do."
        )


def _unread_ci(evidence: Evidence) -> Iterator[str]:
    """Yield which YAML looks like CI of a vendor that is not read."""
    files = evidence.content.files
    known = set(files.find(*files.reading.ci, *files.reading.roots, "**/action.y*ml"))
    known |= {workflow.path for workflow in evidence.ci.workflows}
    unread: list[str] = []
    for path in files.find("**/*.yml", "**/*.yaml"):
        if files.clock.is_up() or len(unread) > SHOWN:
            break
        raw = b"" if path in known or is_documentation(path) else files.read(path) or b""
        if STEPS.search(raw) and RUNS.search(raw) and not OTHER_YAML.search(raw):
            unread.append(f"`{path}`")
    if unread:
        more = " and more" if len(unread) > SHOWN else ""
        yield (
            f"{', '.join(unread[:SHOWN])}{more}: it looks like CI of a kind that is not read. The "
            "level may be higher; attest in rung.toml what it does."
        )


def _several_projects(evidence: Evidence) -> Iterator[str]:
    files = evidence.content.files
    dependency_files = files.find(*files.reading.dependencies)
    projects = {path.rpartition("/")[0] for path in dependency_files if "/" in path}
    if len(projects) >= PROJECTS:
        yield (
            f"{len(projects)} of its folders have dependencies of their own. If they are projects, "
            "what each has adds up here: check them one by one."
        )


def _untouched_examples(evidence: Evidence) -> Iterator[str]:
    content = evidence.content
    documents = content.files.find(*(f"**/{name}" for name in content.examples))
    untouched = [f"`{path}`" for path in documents if content.is_untouched(path)]
    if untouched:
        yield (
            f"{', '.join(untouched)}: still the text of Rung's example, which does not count. "
            "Write what applies to your model."
        )
