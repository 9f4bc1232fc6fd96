"""Say what this machine lacks of what a project, or a rung, needs."""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rung.core.doctor import needs, probe, report
from rung.core.doctor.needs import Need
from rung.errors import RungError
from rung.levels import template
from rung.levels.answers import ANSWERS, check_answers, gather_answers
from rung.system import expand_user, plain_yaml


def examine(path: Path, to: int | None, pairs: Sequence[str]) -> report.Report:
    """Look for what a project, or a rung, needs on this machine.

    Args:
        path: a project, or any folder; uv reads its settings there.
        to: the rung that is asked about, or None for the project's own.
        pairs: answers that differ from the project's, as QUESTION=ANSWER.

    Raises:
        RungError: There is no such folder or question.
    """
    folder = expand_user.expanded(path)
    if not folder.is_dir():
        raise RungError(f"{folder} is not a folder. Give the path of a project.")
    levels = template.folder() / "levels"
    asked = gather_answers(None, pairs, {})
    check_answers(asked, plain_yaml.load((levels / "questions.yml").read_text("utf-8")))
    recorded = _recorded(folder)
    answers = recorded | asked
    level = to if to is not None else int(answers.get("level", 0))
    return _report(needs.load(levels), folder, level, answers)


def _recorded(folder: Path) -> dict[str, Any]:
    """Return the answers of the project in a folder, or none if there is no project."""
    if not (folder / ANSWERS).is_file():
        return {}
    from rung.core.rendering import answers_file

    return answers_file.answers(answers_file.recorded(folder))


def _report(
    wanted: needs.Needs, folder: Path, level: int, answers: dict[str, Any]
) -> report.Report:
    findings = [probe.program(need, folder) for need in wanted.programs]
    findings += probe.registry(wanted, folder)

    def concerns(need: Need) -> bool:
        return need.concerns(level, answers)

    here = [finding for finding in findings if concerns(finding.need)]
    is_project = (folder / ANSWERS).is_file()
    return report.Report(
        machine=f"rung {template.tag()[1:]} on {platform.platform()}, Python {platform.python_version()}",
        subject=report.where(folder if is_project else None, level, answers),
        level=level,
        needed=[finding for finding in here if not finding.need.optional],
        optional=[finding for finding in here if finding.need.optional],
        later=[finding for finding in findings if not concerns(finding.need)],
    )
