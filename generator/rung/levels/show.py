"""The ladder to look at: the levels as a text table and as the page docs/levels.md."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rung.levels.ladder import MINIMUM_SCORE, Capability, Level

PAGE = """\
<!-- Generated from levels/ by `rung levels --markdown`. Change it there. -->

# Rungs and capabilities

[What a rung and a use case are](ladder.md). Start on the lowest rung that keeps its promise to the people who depend on
you, and climb when they need more.

{summary}

Microsoft's and Google's maturity models stand behind the rungs; [what a rung lacks of
them](#the-models-behind-the-rungs) is named below. The controls of governance come from banking supervision,
the EU AI Act, the NIST AI Risk Management Framework and the FDA. *In your project* lists jobs of your CI, and files: of
these you get those of your CI vendor and team size.
"""

SECTION = """\

## Rung {level}: {title}

{promise} Costs {cost}

- Microsoft's level: {microsoft}
- Google's level: {google}
- {requirements}

The team brings:

{asks}

Stay here while {stay}

{table}
"""


MODELS = """\

## The models behind the rungs

{checked}

{points}

{lacks}

**What governance contains.** {governance}

### Algorithmia's roadmap

Algorithmia's Roadmap to Machine Learning Maturity (2019) has four stages that depend on each other, each with
three levels. The text of its twelve cells could not be had: stages are mapped to blocks. {roadmap_levels}

{roadmap}

### The AI Infrastructure Alliance's workflow and stack

Which stage of the workflow each capability serves, after the Alliance's
[drawings](https://github.com/ai-infrastructure-alliance/blueprints) (2021 to 2023):

{workflow}

Which layer of its stack a project fills, and by which answer:

{stack}
"""


def text(levels: Sequence[Level]) -> str:
    """Return the ladder as a table for a terminal."""
    head = [("Rung", "Name", "Microsoft", "Google")]
    rows = head + [(str(rung.level), rung.title, rung.microsoft, rung.google) for rung in levels]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for index, rung in enumerate(levels):
        lines[index + 1] += f"\n{'':{widths[0]}}  {rung.promise}"
    return "\n".join(lines) + "\n"


def markdown(levels: Sequence[Level], models: Mapping[str, Any]) -> str:
    """Return the page docs/levels.md; `models` is levels/sources.yml."""
    summary = _table(
        ("Rung", "Promise", "Microsoft", "Google"),
        (
            (
                f"[{rung.level} {rung.title}](#rung-{rung.level}-{rung.title.lower()})",
                rung.promise,
                rung.microsoft,
                rung.google,
            )
            for rung in levels
        ),
    )
    return PAGE.format(summary=summary) + "".join(map(_section, levels)) + _models(models, levels)


def _section(rung: Level) -> str:
    return SECTION.format(
        level=rung.level,
        title=rung.title,
        promise=rung.promise,
        cost=rung.cost,
        microsoft=rung.microsoft,
        google=rung.google,
        requirements=_requirements(rung),
        asks="\n".join(
            f"- {entry.ask}" + ("" if entry.game == "both" else f" ({entry.game})")
            for entry in rung.asks
        ),
        stay=rung.stay,
        table=_table(
            ("Capability", "Use case", "Why", "In your project", "Source"),
            (
                (
                    f"`{capability.id}`",
                    _game(capability),
                    capability.why,
                    _project(capability),
                    capability.source,
                )
                for capability in rung.capabilities.values()
            ),
        ),
    )


def _models(models: Mapping[str, Any], levels: Sequence[Level]) -> str:
    stages: dict[str, list[str]] = {stage: [] for stage in models["workflow"]}
    for capability in (entry for rung in levels for entry in rung.capabilities.values()):
        stages[capability.workflow].append(f"`{capability.id}`")
    return MODELS.format(
        checked=models["checked"],
        points=models["points"],
        governance=models["governance"],
        lacks=_table(
            ("Rung", "Model", "The rung does not ask for"),
            ((str(entry["rung"]), entry["model"], entry["what"]) for entry in models["lacks"]),
        ),
        roadmap_levels=models["roadmap_levels"],
        roadmap=_table(
            ("Stage", "Blocks of capabilities"),
            ((stage, ", ".join(blocks)) for stage, blocks in models["roadmap"].items()),
        ),
        workflow=_table(
            ("Stage", "Capabilities"),
            (
                (stage, ", ".join(names) or f"none; {models['workflow'][stage]}")
                for stage, names in stages.items()
            ),
        ),
        stack=_table(
            ("Layer", "In a project"),
            ((layer, what or "empty") for layer, what in models["stack"].items()),
        ),
    )


def _requirements(rung: Level) -> str:
    if not rung.keystones:
        return "Every machine-learning repository is at least here."
    needs = {
        game: ", and ".join(" or ".join(f"`{name}`" for name in group) for group in groups)
        for game, groups in rung.keystones.items()
    }
    more = f"; under governance also {needs['governance']}" if "governance" in needs else ""
    return (
        f"A repository is here when it uses {needs['both']}{more}; "
        f"when the rung's capabilities score {MINIMUM_SCORE:.2f} on average; and when the rungs below hold."
    )


def _game(capability: Capability) -> str:
    limits = [f"{game}: rung {rung}" for game, rung in capability.at.items()]
    limits += [f"{question}: {' or '.join(of)}" for question, of in capability.where.items()]
    return capability.game + (f" ({', '.join(limits)})" if limits else "")


def _project(capability: Capability) -> str:
    paths = [*(claim.path for claim in capability.owns), *capability.uses]
    shown = [f"`{path.replace('src/*/', 'src/<package>/')}`" for path in paths]
    job = [f"the job `{capability.job}`"] if capability.job else []
    return ", ".join(job + shown)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["-"] * len(head), *rows]
    return "\n".join(
        f"|{'|'.join(cell.replace('|', '&#124;') for cell in line)}|" for line in lines
    )
