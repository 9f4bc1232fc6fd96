"""Copier's settings, in which a company sets defaults of answers for new projects."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from platformdirs import user_config_path

from rung.errors import RungError
from rung.levels.template_answers import check_answers, is_setting
from rung.system import plain_yaml


def path() -> Path:
    """Return the file of the settings, which need not exist."""
    default = user_config_path("copier", appauthor=False) / "settings.yml"
    return Path(os.environ.get("COPIER_SETTINGS_PATH") or default)


def read() -> str:
    """Return the text of the settings; empty if there are none."""
    file = path()
    try:
        if file.is_file():
            return file.read_text("utf-8", "replace")
        if os.environ.get("COPIER_SETTINGS_PATH"):
            raise OSError("it is not a file")
    except OSError as error:
        raise unreadable(error) from error
    return ""


def unreadable(reason: object) -> RungError:
    """Return the error about settings that cannot be read."""
    return RungError(
        f"Copier's settings {path()} cannot be read: {reason}\n"
        "Correct the file, or the environment variable COPIER_SETTINGS_PATH."
    )


def defaults(questions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults for these questions; other templates have theirs in the same file."""
    try:
        content = plain_yaml.load(read()) or {}
        named = dict(content.get("defaults") or {})
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise unreadable(" ".join(str(error).split())) from error
    return {name: value for name, value in named.items() if name in questions}


def of_new_projects(questions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of questions that are never asked, which a new project records.

    They are no defaults of a project that exists: its recorded answers alone say how it was rendered.
    """
    recorded = {
        name: value for name, value in defaults(questions).items() if is_setting(questions[name])
    }
    try:
        check_answers(recorded, questions)
    except RungError as error:
        raise RungError(f"{error}\nThe answer is from Copier's settings {path()}.") from error
    return recorded
