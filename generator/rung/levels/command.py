"""The verb `rung levels`: the ladder as a text table, and as the page docs/levels.md."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rung.levels.ladder import Capability, Level


def levels(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the page docs/levels.md.")
    ] = False,
) -> int:
    """Show the ladder."""
    from rung.levels import ladder, template
    from rung.system import plain_yaml, terminal

    folder = template.folder() / "levels"
    rungs = ladder.load(folder)
    if markdown:
        models = plain_yaml.load((folder / "sources.yml").read_text("utf-8"))
        print(page(rungs, models), end="")
    else:
        terminal.show(table(rungs))
    return 0


def table(levels: "Sequence[Level]") -> str:
    """Return the ladder as a table for a terminal."""
    head = [("Rung", "Name", "Microsoft", "Google")]
    rows = head + [(str(rung.level), rung.title, rung.microsoft, rung.google) for rung in levels]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for index, rung in enumerate(levels):
        lines[index + 1] += f"\n{'':{widths[0]}}  {rung.promise}"
    return "\n".join(lines)


def page(levels: "Sequence[Level]", models: Mapping[str, Any]) -> str:
    """Return the page docs/levels.md; `models` is levels/sources.yml."""
    from rung.levels.ladder import BRINGS, MINIMUM_SCORE
    from rung.system import html  # Jinja is loaded for a page alone

    stages: dict[str, list[str]] = {stage: [] for stage in models["workflow"]}
    for capability in (c for rung in levels for c in rung.capabilities.values()):
        stages[capability.workflow].append(f"`{capability.id}`")
    return html.render(
        "levels/page.md.jinja",
        levels=levels,
        models=models,
        brings=BRINGS,
        stages=stages,
        minimum_score=MINIMUM_SCORE,
        use_case=_use_case,
        in_project=_in_project,
    )


def _use_case(capability: "Capability") -> str:
    limits = [f"{game}: rung {rung}" for game, rung in capability.at.items()]
    limits += [f"{question}: {' or '.join(names)}" for question, names in capability.where.items()]
    return capability.game + (f" ({', '.join(limits)})" if limits else "")


def _in_project(capability: "Capability") -> str:
    paths = dict.fromkeys([*(claim.path for claim in capability.owns), *capability.uses])
    shown = [
        f"`{path.replace('src/*/', 'src/<package>/')}`" for path in paths if not _library(path)
    ]
    job = [f"the job `{capability.job}`"] if capability.job else []
    return ", ".join(job + shown) or ("the library" if any(map(_library, paths)) else "")


def _library(path: str) -> bool:
    return path.startswith(("rung_ops", "rung_governance"))
