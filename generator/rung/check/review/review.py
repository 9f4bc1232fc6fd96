"""Review a repository: read it, look for evidence, and determine its rung."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from rung.check.review import config, examples, notes, reading, standing
from rung.check.review.content import Content
from rung.check.review.dependencies import normalised
from rung.check.review.evidence import Evidence
from rung.check.review.files import Files
from rung.check.review.findings import Finding, Trial, find
from rung.check.review.hit import Hit
from rung.check.review.limits import LeftOut, Limits
from rung.check.review.reachability import is_documentation
from rung.check.review.reading import Reading
from rung.check.review.standing import Standing
from rung.levels import template
from rung.levels.ladder import Level, load


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
        standing: its rung, and what the next one needs.
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
    machine_learning: Sequence[Hit]
    findings: Mapping[str, Finding]
    standing: Standing
    file_count: int
    left_out: LeftOut
    notes: Sequence[str]
    template_version: str = ""
    tried: bool = False
    trials: Sequence[Trial] = ()

    @property
    def level(self) -> int:
        """Its rung."""
        return self.standing.level

    def asked(self, level: int) -> list[Finding]:
        """Return the findings of the capabilities that its game asks for on a rung."""
        return [one for one in self.findings.values() if one.rung(self.game) == level]


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
    capabilities = {name: one for rung in ladder for name, one in rung.capabilities.items()}
    by_import = {"imports": list(files.reading.modules)}  # shows that it is about machine learning
    asked = [each for one in capabilities.values() for each in one.evidence.values()]
    evidence = Evidence(content, [*asked, by_import])
    results = {name: find(one, evidence) for name, one in capabilities.items()}
    if stated.answers is not None:
        results = {name: one.of_project(stated.answers) for name, one in results.items()}
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
        standing=standing.stand(ladder, results, played, bool(ml)),
        file_count=files.file_count,
        left_out=files.left_out,
        notes=[*stated.notes, *notes.of(evidence, bool(ml))],
        template_version=stated.template_version,
    )


@lru_cache(maxsize=1)
def _examples(folder: Path) -> Mapping[str, frozenset[str]]:
    return examples.load(folder)


@lru_cache(maxsize=1)  # a fleet is read by the same ladder
def _ladder(folder: Path) -> tuple[tuple[Level, ...], Reading]:
    return load(folder), reading.load(folder)


def _machine_learning(evidence: Evidence, by_import: Mapping[str, Sequence[str]]) -> list[Hit]:
    reads = evidence.content.files.reading
    packages = (evidence.packages.get(normalised(name)) for name in reads.packages)
    hits = [
        Hit(*location) for location in packages if location and not is_documentation(location[0])
    ]
    if hits:
        return hits[:3]
    imported = {hit.path: hit for hit in evidence.all_hits(by_import)}
    paths = evidence.content.files.find("**/*.py", "**/*.ipynb")
    first = next((path for path in paths if path in imported and not is_documentation(path)), None)
    return [imported[first]] if first else []
