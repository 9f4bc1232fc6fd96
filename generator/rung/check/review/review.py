"""Review a repository: read it, look for evidence, and determine its rung."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from rung.check.review import config, rating
from rung.check.review.content import Content, load_examples
from rung.check.review.dependencies import normalised
from rung.check.review.evidence import Evidence
from rung.check.review.files import Files, LeftOut, Limits, Reading, load_reading
from rung.check.review.findings import Finding, Trial, find
from rung.check.review.predicates import Match
from rung.check.review.rating import Rating
from rung.check.review.reachability import is_documentation
from rung.levels import template
from rung.levels.ladder import Level, load

PROJECTS = 8  # folders with dependencies of their own, from which on a repository may hold several
SHOWN = 3  # calls of other repositories


@dataclass(frozen=True)
class Review:
    """A repository, read.

    Attributes:
        name: of its folder.
        levels: the ladder.
        game: that it was judged by.
        game_from: why that one.
        machine_learning: what shows that it is about machine learning.
        findings: of every capability, by name.
        rating: its rung, and what the next one needs.
        file_count: how many files.
        left_out: what was not looked at.
        notes: what a reader should know besides.
        template_version: the tag or commit of the Copier template it was made from; else empty.
        tried: whether anything of it was to be run.
        trials: what was run, or could not be.
    """

    name: str
    levels: Sequence[Level]
    game: str
    game_from: str
    machine_learning: Sequence[Match]
    findings: Mapping[str, Finding]
    rating: Rating
    file_count: int
    left_out: LeftOut
    notes: Sequence[str]
    template_version: str = ""
    tried: bool = False
    trials: Sequence[Trial] = ()

    @property
    def level(self) -> int:
        """Its rung."""
        return self.rating.level

    def asked(self, level: int) -> list[Finding]:
        """Return the findings of the capabilities that its game asks for on a rung."""
        return [finding for finding in self.findings.values() if finding.rung(self.game) == level]


def review(
    root: Path, game: str | None = None, limits: Limits | None = None, today: date | None = None
) -> Review:
    """Read the repository in a folder. Nothing of it is run, and git is not needed.

    Args:
        root: its folder.
        game: governance or velocity; else what the repository says of itself, else velocity.
        limits: how much is read.
        today: the day by which waivers expire.
    """
    ladder, reads = _ladder(template.folder() / "levels")
    files = Files(root, reads, limits or Limits())
    content = Content(files, _examples(template.folder() / "templates/examples"))
    stated = config.read(content, ladder, today or date.today())
    capabilities = {
        name: capability for rung in ladder for name, capability in rung.capabilities.items()
    }
    by_import = {"imports": list(files.reading.modules)}  # shows that it is about machine learning
    asked = [
        predicate
        for capability in capabilities.values()
        for predicate in capability.evidence.values()
    ]
    asked += [each.applies for each in capabilities.values() if each.applies is not None]
    evidence = Evidence(content, [*asked, by_import])
    results = {name: find(capability, evidence) for name, capability in capabilities.items()}
    if stated.answers is not None:
        results = {name: finding.of_project(stated.answers) for name, finding in results.items()}
    for name, statement in stated.statements.items():
        results[name] = results[name].with_statement(statement)
    played, why = (game, "asked for") if game else stated.game
    ml = _machine_learning(evidence, by_import)
    return Review(
        name=root.resolve().name,
        levels=ladder,
        game=played,
        game_from=why,
        machine_learning=ml,
        findings=results,
        rating=rating.rate(ladder, results, played, bool(ml)),
        file_count=files.file_count,
        left_out=files.left_out,
        notes=[*stated.notes, *_notes(evidence, bool(ml))],
        template_version=stated.template_version,
    )


@lru_cache(maxsize=1)
def _examples(folder: Path) -> Mapping[str, frozenset[str]]:
    return load_examples(folder)


@lru_cache(maxsize=1)  # a fleet is read by the same ladder
def _ladder(folder: Path) -> tuple[tuple[Level, ...], Reading]:
    return load(folder), load_reading(folder)


def _machine_learning(evidence: Evidence, by_import: Mapping[str, Sequence[str]]) -> list[Match]:
    reads = evidence.content.files.reading
    packages = (evidence.packages.get(normalised(name)) for name in reads.packages)
    matches = [
        Match(*location) for location in packages if location and not is_documentation(location[0])
    ]
    if matches:
        return matches[:3]
    imported = {match.path: match for match in evidence.all_matches(by_import)}
    paths = evidence.content.files.find("**/*.py", "**/*.ipynb")
    first = next((path for path in paths if path in imported and not is_documentation(path)), None)
    return [imported[first]] if first else []


def _notes(evidence: Evidence, machine_learning: bool) -> Iterator[str]:
    """Give what a reader should know besides the findings."""
    if not machine_learning:
        yield (
            "No machine-learning package or import was found: this is not a machine-learning "
            "repository, as far as its files show, and no rung above 0 is given."
        )
    yield from _elsewhere(evidence)
    yield from _several_projects(evidence)
    yield from _untouched(evidence)
    if evidence.content.files.left_out.counts["unrendered templates"]:
        yield "It holds an unrendered template; render a project and check that one."


def _elsewhere(evidence: Evidence) -> Iterator[str]:
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


def _several_projects(evidence: Evidence) -> Iterator[str]:
    files = evidence.content.files
    wanted = files.find(*files.reading.dependencies)
    projects = {path.rpartition("/")[0] for path in wanted if "/" in path}
    if len(projects) >= PROJECTS:
        yield (
            f"{len(projects)} of its folders have dependencies of their own. If they are projects, "
            "what each has adds up here: check them one by one."
        )


def _untouched(evidence: Evidence) -> Iterator[str]:
    content = evidence.content
    named = content.files.find(*(f"**/{name}" for name in content.examples))
    untouched = [f"`{path}`" for path in named if content.is_untouched(path)]
    if untouched:
        yield (
            f"{', '.join(untouched)}: still the text of Rung's example, which earns nothing. "
            "Write what holds for your model."
        )
